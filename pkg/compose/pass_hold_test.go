package compose

import (
	"errors"
	"testing"
)

// TestHoldNamesWhatHasFailed says of a child that could not be deleted no other thing.
func TestHoldNamesWhatHasFailed(t *testing.T) {
	id := idOf(configMapKind, "team-a", "page")
	for want, op := range map[string]Op{
		"ConfigMap team-a/page could not be applied": {ID: id, Action: Apply, Desired: &Desired{ID: id}},
		"ConfigMap team-a/page could not be deleted": {ID: id, Action: Delete},
	} {
		p := &pass{executor: &executor{failed: map[ChildID]*opError{id: {err: errors.New("as the test wants")}}}, ops: []Op{op}}
		if got := p.hold(); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}
