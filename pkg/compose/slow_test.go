package compose

import (
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// TestNothingIsMadeForAParentThatIsGone lets the parent come to its end while the composer is
// asked.
func TestNothingIsMadeForAParentThatIsGone(t *testing.T) {
	id := idOf(websiteKind, "team-a", "web")
	remove := func(c *cluster) error { return c.delete(id, "", "") }
	finalized := func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/theirs"} }
	tests := map[string]struct {
		before, happens func(c *cluster) error
		again           bool // another parent has its name
	}{
		"deleted": {happens: remove},
		"deleted, and there is another one": {again: true, happens: func(c *cluster) error {
			err := remove(c)
			c.edit(id, "kubectl", func(tree map[string]any) { tree["spec"] = map[string]any{"children": names(1)} })
			return err
		}},
		"being deleted": {
			before:  func(c *cluster) error { c.edit(id, "kubectl", finalized); return nil },
			happens: remove,
		},
		"not selected any more": {happens: func(c *cluster) error {
			delete(c.objects, id)
			return nil
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := &meanwhile{}
			r := newRig(t, rigOptions{composer: m})
			do := func(f func(c *cluster) error) {
				r.server.do(func(c *cluster) {
					if err := f(c); err != nil {
						t.Error(err)
					}
				})
			}
			r.newWebsite("web", map[string]any{"children": names(2)})
			if tc.before != nil {
				do(tc.before)
				r.sync()
			}
			dead := r.parent("web").UID()
			m.happens = func() {
				do(tc.happens)
				r.syncParents()
			}
			r.server.take()
			r.mustPass(t, "web")
			if asked := r.asked(); len(asked) > 0 {
				t.Errorf("requests for a parent that is gone: %v", asked)
			}
			if tc.again {
				r.sync()
				r.mustPass(t, "web")
			}
			want := 0
			if tc.again {
				want = 1
			}
			r.server.do(func(c *cluster) {
				for _, child := range slices.Collect(maps.Keys(c.objects)) {
					if child.Kind == configMapKind.GroupKind() && types.UID(c.objects[child].metadata("labels", ParentUIDLabel)) == dead {
						t.Errorf("%s was made for the dead parent", child)
					}
				}
			})
			if n := r.childrenOf("web"); n != want {
				t.Errorf("there are %d children, want %d", n, want)
			}
		})
	}
}
