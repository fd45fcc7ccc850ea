package compose

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// What a change of the file deletes counts as that, however long it has waited for an heir. The
// other children of the parent are not free because of it.
func TestBrakeAfterAMove(t *testing.T) {
	m := newMovesRig(t, nil, pages(page)...)
	now := m.at
	b := m.donor.Memory.Brake
	b.DefinitionChanged(now)
	m.change(nil, nil)
	m.takeOver()
	m.run(t, "donor")
	uid := m.donor.parent("web").UID()
	deletes := []Op{{Action: Delete, ID: pageID}, {Action: Delete, ID: idOf(configMapKind, "team-a", "other")}}
	for _, later := range []time.Duration{time.Minute, 2 * freeTime} {
		if n := b.counts(uid, deletes, now.Add(later)); n != 1 {
			t.Errorf("%s later, %d of the deletions count, want 1", later, n)
		}
	}
	m.begin(m.heir)
	m.run(t, "heir")
	if n := b.counts(uid, deletes, now.Add(2*freeTime)); n != 2 {
		t.Errorf("when that child is gone, %d deletions count, want 2", n)
	}
}

// A composer that says all of a sudden that nothing is desired is held, also while a child waits
// for an heir.
func TestBrakeDuringAMove(t *testing.T) {
	for name, later := range map[string]time.Duration{"at once": 0, "a day later": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			var stay []handlers.Child
			for i := range 12 {
				stay = append(stay, configMap(fmt.Sprintf("page-%d", i), nil))
			}
			m := newMovesRig(t, []schema.GroupVersionKind{configMapKind, podKind}, append(pages(pod("a")), stay...)...)
			m.donor.Memory.Brake.DefinitionChanged(m.at)
			m.heirAs.Owns = []schema.GroupKind{podKind.GroupKind()}
			m.change(stay, pages(pod("a")))
			m.takeOver()
			m.run(t, "donor")
			m.at = m.at.Add(later)
			m.keeps = nil
			m.run(t, "donor")
			if written := m.written(); len(written) > 0 {
				t.Errorf("there are writes: %v", written)
			}
			if m.donor.Memory.Brake.Held() == "" {
				t.Error("nothing is held")
			}
		})
	}
}
