package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
)

// leftRig is a movesRig of which the donor does not handle the website any more.
type leftRig struct {
	*movesRig
	*Removal
}

// leave lets the file say so. What is left is deleted by the removal.
func leave(t *testing.T, m *movesRig) leftRig {
	t.Helper()
	m.donorAs.Selection.Namespaces = []string{"team-b"}
	m.moves.Set([]Party{m.donorAs, m.heirAs})
	removal := removalOf(t, m.donor, onRemoveDelete, configMapKind)
	removal.Moves, removal.Versions = m.moves, map[types.UID]string{}
	return leftRig{movesRig: m, Removal: removal}
}

// look lets the removal look once, and checks how many children wait for the heir.
func (r leftRig) look(t *testing.T, when string, claimed int) {
	t.Helper()
	found, err := r.Run(t.Context())
	if err != nil || found.Claimed != claimed {
		t.Errorf("%s, found %+v, %v; want %d that wait", when, found, err, claimed)
	}
	if written := r.written(); claimed > 0 && len(written) > 0 {
		t.Errorf("%s, there are writes: %v", when, written)
	} else if diff := cmp.Diff([]string{"DELETE " + pagePath}, written); claimed == 0 && diff != "" {
		t.Errorf("%s, writes of children (-want +got):\n%s", when, diff)
	}
}

// A removal keeps what the heir may take of a parent that became the heir's by an edit which its
// cache does not have yet.
func TestRemovalMeetsAnEditThatSelectsTheParent(t *testing.T) {
	t.Run("it is the heir's", func(t *testing.T) {
		r := leave(t, newSelectingRig(t))
		uid := r.donor.server.uidOf(pageID)
		r.look(t, "while the heir has not seen the parent", 1)
		r.heir.sync()
		r.look(t, "before the heir has handled it", 1)
		r.run(t, "heir")
		r.taken(t, uid)
		if found, err := r.Run(t.Context()); err != nil || found.Going != 0 {
			t.Errorf("in the end, found %+v, %v", found, err)
		}
	})
	t.Run("it is not", func(t *testing.T) {
		r := leave(t, newSelectingRig(t))
		r.look(t, "while the heir has not seen the parent", 1)
		r.bookmark(r.donor.parent("web").ResourceVersion())
		r.look(t, "when it has", 0)
	})
	t.Run("its labels are others", func(t *testing.T) {
		m := newSelectingRig(t)
		m.label("another")
		leave(t, m).look(t, "when the heir does not select the parent", 0)
	})
}

// What the heir has said of the parent before an edit does not count for a removal.
func TestRemovalMeetsAnEditOfTheParent(t *testing.T) {
	for name, wanted := range map[string]bool{"the heir wants it": true, "nobody wants it": false} {
		t.Run(name, func(t *testing.T) {
			m, uid := newUnmovedRig(t)
			r := leave(t, m)
			m.label("tier")
			r.look(t, "while the heir has not seen the edit", 1)
			if wanted {
				m.wants = pages(page)
			}
			m.heir.sync()
			r.look(t, "before the heir has handled it", 1)
			if m.run(t, "heir"); wanted {
				r.taken(t, uid)
				return
			}
			r.look(t, "when the heir has", 0)
		})
	}
}

// The same of an edit that changes nothing but the status, by which the heir may decide.
func TestRemovalMeetsAStatus(t *testing.T) {
	m, _ := newUnmovedRig(t)
	r := leave(t, m)
	m.setPhase(t)
	r.look(t, "while the heir has not seen the status", 1)
	m.heir.sync()
	m.queue = nil
	r.look(t, "before the heir has handled it", 1)
	if diff := cmp.Diff([]string{"heir"}, m.queue); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	m.run(t)
	r.look(t, "when the heir has", 0)
}

// A removal does not wait for ever because of an heir's fieldSelector, although the parent changes
// more often than bookmarks come.
func TestRemovalOfAParentThatChangesAllTheTime(t *testing.T) {
	m := newSelectingRig(t)
	m.heirAs.Selection.Fields = fields.OneTermEqualSelector("spec.tier", "premium")
	r := leave(t, m)
	before := m.donor.parent("web").ResourceVersion()
	for edit := range int64(3) {
		r.look(t, "while the heir's cache is behind", 1)
		m.donor.newWebsite("web", map[string]any{"x": edit})
	}
	m.bookmark(before)
	r.look(t, "when it is as new as the parent was at first", 0)
}

// While it is not known which parents there are, nothing is done about what an heir may take.
func TestRemovalThatCannotSeeTheParents(t *testing.T) {
	m, _ := newUnmovedRig(t)
	r := leave(t, m)
	m.donor.refuseFirst(errRefused, func(asked request) bool {
		kind, _, ok := collectionIn(asked.path)
		return ok && kind == websiteKind
	})
	if found, err := r.Run(t.Context()); err == nil || found.Going != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
	if written := m.written(); len(written) > 0 {
		t.Errorf("there are writes: %v", written)
	}
	m.donor.server.answer = nil
	r.look(t, "when it is", 0)
}

// A run may take minutes. A parent that becomes the heir's meanwhile keeps what the heir may take:
// what the heir's cache has counts for more than the labels that were seen, which are not used for
// long.
func TestRemovalMeetsAnEditWhileItRuns(t *testing.T) {
	for name, late := range map[string]bool{"the heir has seen it": false, "the heir has not, and the parents are read anew": true} {
		t.Run(name, func(t *testing.T) {
			m := newSelectingRig(t)
			m.label("another")
			r := leave(t, m)
			ours := claims{Removal: r.Removal}
			ours.look(t.Context())
			m.label(selectedLabel)
			if late {
				ours.seen = ours.seen.Add(-parentsPatience)
			} else {
				m.heir.sync()
			}
			child, err := r.donor.live(pageID)
			if err != nil {
				t.Fatal(err)
			}
			if why, err := ours.of(t.Context(), observe(child, true)); err != nil || !strings.Contains(why, "definition sites, which may take it over") {
				t.Errorf("of the child it says %q, %v", why, err)
			}
		})
	}
}
