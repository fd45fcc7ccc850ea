package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// newInsideRig returns one of which the donor has made a namespace for the shop, which it does not
// want any more. A child of the website in it has moved to the heir, which wants nothing of the
// shop.
func newInsideRig(t *testing.T) *movesRig {
	t.Helper()
	inside := handlers.Child{Name: "inside", Object: untyped(configMapKind, "space", "inside", nil)}
	m := newMovesRig(t, []schema.GroupVersionKind{configMapKind, namespaceKind}, inside)
	m.keeps = pages(handlers.Child{Name: "space", Object: untyped(namespaceKind, "", "space", nil), Policy: handlers.ChildPolicy{Prune: true}})
	m.donor.newWebsite("shop", nil)
	m.donor.mustPass(t, "shop")
	m.change(nil, pages(inside))
	m.takeOver()
	m.begin(m.heir)
	m.run(t, "donor", "heir")
	m.donor.server.do(func(c *cluster) {
		if of := c.objects[idOf(configMapKind, "space", "inside")].metadata("labels", DefinitionLabel); of != "sites" {
			t.Fatalf("the child is that of %s", of)
		}
	})
	m.wants = nil
	for range 2 {
		m.donor.mustPass(t, "shop")
		m.sync()
		m.heir.mustPass(t, "shop")
	}
	m.queue = nil
	if deleted := m.deleted(); len(deleted) > 0 {
		t.Fatalf("there are deletions: %v", deleted)
	}
	return m
}

// A donor keeps a namespace for as long as a child of an heir is in it, whatever its parent.
func TestNamespaceWithAChildThatHasMoved(t *testing.T) {
	const why = "ConfigMap space/inside of definition sites is in it"
	gone := []string{"DELETE /api/v1/namespaces/space"}
	t.Run("in a pass", func(t *testing.T) {
		m := newInsideRig(t)
		m.at = m.at.Add(movingPatience)
		if again := m.donor.mustPass(t, "shop").RequeueAfter; again == 0 || again > lastStaleInterval {
			t.Errorf("the donor looks again after %s", again)
		}
		if _, reason, message := m.donor.conditionOf("shop", conditionProgressing); reason != "Moving" || !strings.Contains(message, why) {
			t.Errorf("Progressing is %q, %q", reason, message)
		}
		if deleted := m.deleted(); len(deleted) > 0 {
			t.Errorf("there are deletions: %v", deleted)
		}
		m.heir.mustPass(t, "web")
		m.deleted()
		m.sync()
		if again := m.donor.mustPass(t, "shop").RequeueAfter; again != 0 {
			t.Errorf("when the child is gone, the donor looks again after %s", again)
		}
		if diff := cmp.Diff(gone, m.deleted()); diff != "" {
			t.Errorf("when the child is gone, deletions (-want +got):\n%s", diff)
		}
	})
	t.Run("in a removal", func(t *testing.T) {
		m := newInsideRig(t)
		m.donorAs.Selection.Namespaces = []string{"team-b"}
		m.moves.Set([]Party{m.donorAs, m.heirAs})
		removal := removalOf(t, m.donor, onRemoveDelete, configMapKind, namespaceKind)
		removal.Moves = m.moves
		if found, err := removal.Run(t.Context()); err != nil || found.Claimed != 1 || !strings.Contains(found.Claim, why) {
			t.Errorf("found %+v, %v", found, err)
		}
		if deleted := m.deleted(); len(deleted) > 0 {
			t.Errorf("there are deletions: %v", deleted)
		}
		m.heir.mustPass(t, "web")
		m.deleted()
		m.heir.sync()
		if found, err := removal.Run(t.Context()); err != nil || found.Claimed != 0 {
			t.Errorf("when the child is gone, found %+v, %v", found, err)
		}
		if diff := cmp.Diff(gone, m.deleted()); diff != "" {
			t.Errorf("when the child is gone, deletions (-want +got):\n%s", diff)
		}
	})
}

// incomplete is a cache that is not complete yet.
type incomplete struct{ Source }

func (incomplete) Listed() bool { return false }

// What an heir has in a namespace may be unknown, or not be in its caches yet.
func TestWhatAnHeirHasInANamespace(t *testing.T) {
	of := func(change func(m *movesRig)) string {
		m := newInsideRig(t)
		change(m)
		m.moves.mu.Lock()
		defer m.moves.mu.Unlock()
		return insideOf(m.moves, m.moves.parties[definition], "space")
	}
	insideID := idOf(configMapKind, "space", "inside")
	lose := func(m *movesRig) { m.heir.caches[configMapKind].objects = nil }
	for name, tc := range map[string]struct {
		change func(m *movesRig)
		want   string
	}{
		"it does not work": {
			func(m *movesRig) { m.moves.end("sites", "1") }, "it waits until definition sites, which may have children in it, works",
		},
		"a cache is not complete": {
			func(m *movesRig) {
				lose(m)
				m.heir.Children[0].Source = incomplete{m.heir.Children[0].Source}
			},
			"it waits until definition sites knows which children it has in it",
		},
		"a kind is not served any more": {
			func(m *movesRig) {
				lose(m)
				m.heir.caches[configMapKind].gone = true
			}, "",
		},
		"a child that is not in the cache yet": {
			func(m *movesRig) {
				lose(m)
				child := m.heir.Memory.of(m.heir.parent("web").UID()).child(insideID)
				child.answer = m.heir.parent("web")
			},
			"ConfigMap space/inside of definition sites is in it",
		},
		"a child that is being deleted": {
			func(m *movesRig) {
				m.donor.server.do(func(c *cluster) {
					c.edit(insideID, "kubectl", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/keep"} })
					if err := c.delete(insideID, "", ""); err != nil {
						t.Error(err)
					}
				})
				m.heir.sync()
			}, "",
		},
	} {
		if got := of(tc.change); got != tc.want {
			t.Errorf("%s: it says %q, want %q", name, got, tc.want)
		}
	}
}
