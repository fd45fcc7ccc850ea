package compose

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
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

const (
	insideWhy = "ConfigMap space/inside of definition sites is in it"
	spaceGone = "DELETE /api/v1/namespaces/space"
)

// childGoes lets the heir delete its child in the namespace.
func (m *movesRig) childGoes(t *testing.T) {
	t.Helper()
	m.heir.mustPass(t, "web")
	m.deleted()
	m.sync()
}

// A namespace stays while a child of an heir is in it, whatever its parent, as it does for a child
// that the donor keeps: nothing waits for that to end.
func TestNamespaceWithAChildThatHasMoved(t *testing.T) {
	for name, deleted := range map[string]bool{"in a pass": false, "of a parent that is deleted": true} {
		t.Run(name, func(t *testing.T) {
			m := newInsideRig(t)
			shopID := idOf(websiteKind, "team-a", "shop")
			if deleted {
				m.donor.server.do(func(c *cluster) {
					if err := c.delete(shopID, "", ""); err != nil {
						t.Error(err)
					}
				})
				m.donor.sync()
			}
			m.at = m.at.Add(movingPatience)
			if again := m.donor.mustPass(t, "shop").RequeueAfter; again != 0 {
				t.Errorf("the donor looks again after %s", again)
			}
			if gone := m.deleted(); len(gone) > 0 {
				t.Errorf("there are deletions: %v", gone)
			}
			m.donor.sync()
			if deleted {
				if left := m.donor.object(shopID); left != "none" {
					t.Errorf("the parent is still there: %s", left)
				}
				return
			}
			if status, reason, message := m.donor.conditionOf("shop", conditionProgressing); status != "False" {
				t.Errorf("Progressing is %q, %q, %q", status, reason, message)
			}
			m.childGoes(t)
			m.donor.mustPass(t, "shop")
			if diff := cmp.Diff([]string{spaceGone}, m.deleted()); diff != "" {
				t.Errorf("when the child is gone, deletions (-want +got):\n%s", diff)
			}
		})
	}
}

// The same in a removal, which ends. Of what it does not delete anyhow, the heirs are not asked.
func TestRemovalOfANamespaceWithAChildThatHasMoved(t *testing.T) {
	spaceID := idOf(namespaceKind, "", "space")
	for name, tc := range map[string]struct {
		onRemove  string
		change    func(c *cluster)
		gone      bool // the child of the heir
		stay      int
		told      string // of the namespace
		deletions []string
	}{
		"a child is in it":        {onRemove: onRemoveDelete, stay: 1, told: "retain InUse " + insideWhy},
		"when the child is gone":  {onRemove: onRemoveDelete, gone: true, told: "delete Removed ", deletions: []string{spaceGone}},
		"which becomes an orphan": {onRemove: onRemoveOrphan, told: "orphan Removed "},
		"which is not provably ours": {
			onRemove: onRemoveDelete, stay: 1, told: "retain Foreign Namespace space carries the marks of a child and was not made by kooperd",
			change: func(c *cluster) { c.wipe(spaceID) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newInsideRig(t)
			if tc.gone {
				m.childGoes(t)
			}
			if tc.change != nil {
				m.donor.server.do(tc.change)
			}
			m.donorAs.Selection.Namespaces = []string{"team-b"}
			m.moves.Set([]Party{m.donorAs, m.heirAs})
			removal, told := removalOf(t, m.donor, tc.onRemove, configMapKind, namespaceKind), ""
			removal.Moves = m.moves
			removal.Tell = func(l Leftover) {
				if l.ID == spaceID {
					told = fmt.Sprintf("%s %s %s", l.Action, l.Reason, l.Message)
				}
			}
			found, err := removal.Run(t.Context())
			if err != nil || found.Claimed != 0 || found.Stay != tc.stay || found.Going != len(tc.deletions) {
				t.Errorf("found %+v, %v; want %d that stay", found, err, tc.stay)
			}
			if told != tc.told {
				t.Errorf("of the namespace it says %q, want %q", told, tc.told)
			}
			if deleted := m.deleted(); !slices.Equal(deleted, tc.deletions) {
				t.Errorf("deletions are %v, want %v", deleted, tc.deletions)
			}
		})
	}
}

// The heirs are asked of namespaces that would be deleted, and of nothing else.
func TestKeepAroundHeirs(t *testing.T) {
	m := newInsideRig(t)
	space, other := idOf(namespaceKind, "", "space"), idOf(namespaceKind, "", "other")
	ops := []Op{
		{Action: Delete, Reason: ReasonNotDesired, ID: space},
		{Action: Wait, Reason: ReasonHeld, ID: space},
		{Action: Delete, Reason: ReasonNotDesired, ID: other},
		{Action: Delete, Reason: ReasonNotDesired, ID: idOf(configMapKind, "team-a", "space")},
	}
	want := []string{"retain InUse " + insideWhy, "wait Held ", "delete NotDesired ", "delete NotDesired "}
	keepAroundHeirs(m.moves, definition, ops)
	var got []string
	for _, op := range ops {
		got = append(got, fmt.Sprintf("%s %s %s", op.Action, op.Reason, op.Message))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ops (-want +got):\n%s", diff)
	}
}

// askingCache is a cache that can be read only while no lock of Moves or of a Memory is held.
type askingCache struct {
	Source
	t     *testing.T
	locks []interface {
		TryLock() bool
		Unlock()
	}
}

func (c askingCache) List(namespace string, selector labels.Selector) []handlers.Object {
	for _, lock := range c.locks {
		if !lock.TryLock() {
			c.t.Error("a lock is held while the children are listed")
			continue
		}
		lock.Unlock()
	}
	if namespace != "space" || selector != nil {
		c.t.Errorf("it lists what %v selects in namespace %q", selector, namespace)
	}
	return c.Source.List(namespace, selector)
}

// Nothing else waits while it is looked through what the heirs have.
func TestHeirsAreAskedWithoutALock(t *testing.T) {
	m := newInsideRig(t)
	asking := askingCache{Source: m.heir.Children[0].Source, t: t}
	asking.locks = append(asking.locks, &m.moves.mu, &m.heir.Memory.mu)
	m.heir.Children[0].Source = asking
	if why := insideOf(m.moves, definition, "space"); why != insideWhy {
		t.Errorf("it says %q", why)
	}
}

// incomplete is a cache that is not complete yet.
type incomplete struct{ Source }

func (incomplete) Listed() bool { return false }

// What an heir has in a namespace may be unknown, or not be in its caches yet.
func TestWhatAnHeirHasInANamespace(t *testing.T) {
	of := func(change func(m *movesRig)) string {
		m := newInsideRig(t)
		change(m)
		return insideOf(m.moves, definition, "space")
	}
	insideID := idOf(configMapKind, "space", "inside")
	lose := func(m *movesRig) { m.heir.caches[configMapKind].objects = nil }
	for name, tc := range map[string]struct {
		change func(m *movesRig)
		want   string
	}{
		"it does not work": {
			func(m *movesRig) { m.moves.end("sites", "1") }, "it stays until definition sites works, which may have children in it",
		},
		"a cache is not complete": {
			func(m *movesRig) {
				lose(m)
				m.heir.Children[0].Source = incomplete{m.heir.Children[0].Source}
			},
			"it stays until definition sites knows which children it has in it",
		},
		"what it owned before is not watched yet": {
			func(m *movesRig) {
				lose(m)
				m.heir.Recorded.Await(NewRecording())
			},
			"it stays until definition sites knows which children it has in it",
		},
		"what it owned before is watched": {
			func(m *movesRig) {
				lose(m)
				recording := NewRecording()
				m.heir.Recorded.Await(recording)
				recording.End(true)
			}, "",
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
			insideWhy,
		},
		"a child of the donor": {
			func(m *movesRig) {
				m.donor.server.do(func(c *cluster) {
					c.edit(insideID, "kubectl", func(tree map[string]any) { object(object(tree, "metadata"), "labels")[DefinitionLabel] = definition })
				})
				m.heir.sync()
			}, "",
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
