package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// One edit of the parent makes the donor drop a child that the heir wants from then on. What the
// heir has said before does not count, also where the event of the edit does not call it.
func TestMoveByAnEditOfTheParent(t *testing.T) {
	for _, order := range [][]string{{"donor", "heir"}, {"donor"}, {"heir", "donor"}} {
		m, uid := newUnmovedRig(t)
		m.keeps, m.wants = nil, pages(page)
		m.donor.newWebsite("web", map[string]any{"x": "y"})
		m.heir.sync()
		m.queue = nil
		m.run(t, order...)
		m.taken(t, uid)
	}
}

// One edit of an object that both read makes the donor drop a child that the heir wants from then
// on, while the parent is as it was.
func TestMoveByAnEditOfARelatedObject(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		for _, order := range [][]string{{"donor", "heir"}, {"donor"}, {"heir", "donor"}} {
			m, uid := newUnmovedRig(t)
			if m.keeps = nil; wanted {
				m.wants = pages(page)
			}
			m.queue = nil
			m.run(t, order...)
			if wanted {
				m.taken(t, uid)
			} else if diff := cmp.Diff([]string{"DELETE " + pagePath}, m.written()); diff != "" {
				t.Errorf("writes of children (-want +got):\n%s", diff)
			}
		}
	}
}

// What the heir says at the end of a pass that was under way already is about what was before.
func TestMoveDuringAPassOfTheHeir(t *testing.T) {
	m, _ := newUnmovedRig(t)
	uid := m.donor.parent("web").UID()
	m.keeps = nil
	late := m.moves.parties["sites"].reports[uid]
	m.donor.mustPass(t, "web")
	m.moves.report("sites", uid, late)
	m.donor.mustPass(t, "web")
	if written := m.written(); len(written) > 0 {
		t.Errorf("there are writes: %v", written)
	}
	m.run(t)
	if diff := cmp.Diff([]string{"DELETE " + pagePath}, m.written()); diff != "" {
		t.Errorf("writes of children (-want +got):\n%s", diff)
	}
}

// A donor whose cache was behind what the heir has seen does not look again for ever.
func TestMoveAfterAnEditDuringAPass(t *testing.T) {
	m := newMovesRig(t, nil, page)
	m.change(nil, pages(page))
	m.takeOver()
	m.begin(m.heir)
	m.heir.newWebsite("web", map[string]any{"x": "y"})
	m.heir.mustPass(t, "web")
	if again := m.donor.mustPass(t, "web").RequeueAfter; again == 0 || again > staleInterval {
		t.Errorf("while it is behind, the donor looks again after %s, want %s", again, staleInterval)
	}
	m.sync()
	m.run(t, "donor", "heir")
	m.donor.mustPass(t, "web")
	if result := m.donor.mustPass(t, "web"); result.RequeueAfter != 0 {
		t.Errorf("when all is as it should be, the donor looks again after %s", result.RequeueAfter)
	}
}

// An heir that says nothing, because it fails, is asked once: it is tried again in any case, later
// and later.
func TestMoveAsksOnce(t *testing.T) {
	m, _ := newUnmovedRig(t)
	m.keeps = nil
	for edit := range int64(2) {
		m.donor.newWebsite("web", map[string]any{"x": edit})
		m.heir.sync()
		m.queue = nil
		for range 3 {
			if again := m.donor.mustPass(t, "web").RequeueAfter; again != 0 && again <= staleInterval {
				t.Errorf("the donor looks again after %s", again)
			}
		}
		if diff := cmp.Diff([]string{"heir"}, m.queue); diff != "" {
			t.Errorf("after edit %d, calls (-want +got):\n%s", edit, diff)
		}
	}
}

// While the cache of one of them is behind, they wait, and look again.
func TestMoveWaitsForCaches(t *testing.T) {
	m, uid := newUnmovedRig(t)
	m.keeps, m.wants = nil, pages(page)
	m.donor.newWebsite("web", map[string]any{"x": "y"})
	result := m.donor.mustPass(t, "web")
	if again := result.RequeueAfter; again == 0 || again > staleInterval {
		t.Errorf("the donor looks again after %s, want %s", again, staleInterval)
	}
	m.blind = true
	if m.run(t); len(m.written()) > 0 {
		t.Error("while the cache of the heir is behind, there are writes")
	}
	m.blind = false
	m.heir.sync()
	m.run(t, "heir")
	m.taken(t, uid)
}

func TestStateOfAParent(t *testing.T) {
	base := metav1.ObjectMeta{Generation: 1, ResourceVersion: "1", Labels: map[string]string{"a": "b"}}
	for name, tc := range map[string]struct {
		change func(m *metav1.ObjectMeta)
		same   bool
	}{
		"its status": {func(m *metav1.ObjectMeta) { m.ResourceVersion = "2" }, true},
		"finalizers": {func(m *metav1.ObjectMeta) { m.Finalizers = []string{"x"} }, true},
		"our notes": {func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{DoneAnnotation(installation, "sites"): "{}"}
		}, true},
		"notes of others":     {func(m *metav1.ObjectMeta) { m.Annotations = map[string]string{DoneAnnotation("other", "sites"): "{}"} }, false},
		"its spec":            {func(m *metav1.ObjectMeta) { m.Generation = 2 }, false},
		"a label":             {func(m *metav1.ObjectMeta) { m.Labels = nil }, false},
		"without generations": {func(m *metav1.ObjectMeta) { m.Generation = 0 }, false},
	} {
		now := base
		tc.change(&now)
		if same := stateOf(installation, &base).equal(stateOf(installation, &now)); same != tc.same {
			t.Errorf("%s: same state: %t", name, same)
		}
	}
}
