package explain

import (
	"testing"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

func TestExplained(t *testing.T) {
	r := NewReport()
	r.Add(diagnostic.Position{}, diagnostic.Path{"controllers", "a", "watch"}, "is wrong", "")
	for path, want := range map[string]bool{
		"controllers.a.watch":      true,
		"controllers.a.watch.kind": true,
		"controllers.a":            true,
		"controllers":              true,
		"controllers.a.watches":    false,
		"controllers.a.wat":        false,
		"controllers.ab":           false,
		"apiVersion":               false,
		"":                         false,
	} {
		if have := r.Explained(diagnostic.ParsePath(path)); have != want {
			t.Errorf("%q is explained: %t, want %t", path, have, want)
		}
	}
	other := r.Fields()
	other.Add(diagnostic.Position{}, diagnostic.Path{"apiVersion"}, "is wrong", "")
	if r.Has(diagnostic.Path{"apiVersion"}) || len(other.Diags) != 1 || !other.Has(diagnostic.Path{"controllers", "a", "watch"}) {
		t.Error("a report and the one made of it are not apart")
	}
}
