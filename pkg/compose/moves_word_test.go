package compose

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// One edit of the parent makes the donor drop a child that the heir wants from then on. What the
// heir has said before does not count, also where the event of the edit does not call it.
func TestMoveByAnEditOfTheParent(t *testing.T) {
	for _, order := range [][]string{{"donor", "heir"}, {"donor"}, {"heir", "donor"}} {
		m := newMovesRig(t, nil, page)
		uid := m.donor.server.uidOf(pageID)
		m.change(pages(page), nil)
		m.takeOver()
		m.begin(m.heir)
		m.run(t, "donor", "heir")
		m.written()
		m.keeps, m.wants = nil, pages(page)
		m.donor.newWebsite("web", map[string]any{"x": "y"})
		m.heir.sync()
		m.queue = nil
		m.run(t, order...)
		m.taken(t, uid)
	}
}

// While the cache of one of them is behind, they wait, and look again.
func TestMoveWaitsForCaches(t *testing.T) {
	m := newMovesRig(t, nil, page)
	uid := m.donor.server.uidOf(pageID)
	m.change(pages(page), nil)
	m.takeOver()
	m.begin(m.heir)
	m.run(t, "donor", "heir")
	m.written()
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
