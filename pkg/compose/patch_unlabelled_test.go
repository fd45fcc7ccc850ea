package compose

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
)

// The label is gone, so that no cache shows the object: what is contributed to it is withdrawn.
func TestPatchWithoutItsLabelIsWithdrawn(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, r *rig){
		"it is not desired any more": func(_ *testing.T, r *rig) { r.newWebsite("web", nil) },
		"after something was pending": func(t *testing.T, r *rig) {
			t.Helper()
			r.newWebsite("web", map[string]any{"pending": true})
			r.mustPass(t, "web")
			r.newWebsite("web", nil)
		},
		"after an error": func(t *testing.T, r *rig) {
			t.Helper()
			r.newWebsite("web", nil)
			r.server.answer = func(w http.ResponseWriter, asked request) bool {
				if !strings.HasSuffix(asked.path, "/shared") {
					return false
				}
				sendError(w, apierrors.NewInternalError(errDamaged))
				return true
			}
			if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), "reading ConfigMap team-a/shared") {
				t.Errorf("error %v, want that of the server", err)
			}
			r.server.answer = nil
		},
		"the parent is deleted": func(t *testing.T, r *rig) {
			t.Helper()
			r.server.do(func(c *cluster) {
				if err := c.delete(idOf(websiteKind, "team-a", "web"), "", ""); err != nil {
					t.Fatal(err)
				}
			})
			r.sync()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newContributor(t)
			id := r.target("shared")
			r.newWebsite("web", patchesOf("shared", "x"))
			r.mustPass(t, "web")
			r.sync()
			r.server.do(func(c *cluster) {
				c.edit(id, "rival", func(tree map[string]any) {
					delete(object(object(tree, "metadata"), "labels"), PatchedLabel(installation))
				})
			})
			r.sync()
			end(t, r)
			r.server.take()
			r.mustPass(t, "web")
			if got := r.object(id); strings.Contains(got, "web:x") || strings.Contains(got, PatchManagers) {
				t.Errorf("the object is %s, want nothing contributed", got)
			}
			asked := slices.DeleteFunc(r.asked(), func(one string) bool { return !strings.HasPrefix(one, "GET") || !strings.HasSuffix(one, "/shared") })
			if len(asked) != 1 {
				t.Errorf("it is read by %v, want one request", asked)
			}
			if r.sync(); r.parent("web") != nil {
				r.settled(t, "web")
			}
		})
	}
}

// A kind that is not served keeps no parent from being deleted, and what was contributed to it is
// remembered until it is served.
func TestPatchOfAKindThatIsNotServed(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		t.Run(fmt.Sprintf("the parent is deleted: %t", deleted), func(t *testing.T) {
			r := newRig(t, rigOptions{composer: contributor, owns: []schema.GroupVersionKind{podKind}, patches: []schema.GroupVersionKind{configMapKind}})
			r.target("shared")
			uid := r.newWebsite("web", patchesOf("shared", "x")).UID()
			r.mustPass(t, "web")
			r.sync()
			r.Client.finder = &notServed{}
			r.Client.forget(configMapKind)
			*r.patched[configMapKind] = cache{gone: true}
			webID := idOf(websiteKind, "team-a", "web")
			r.server.do(func(c *cluster) {
				c.edit(webID, "kubectl", func(tree map[string]any) { tree["spec"] = map[string]any{} })
				if deleted {
					if err := c.delete(webID, "", ""); err != nil {
						t.Fatal(err)
					}
				}
				r.parents.sync(c, websiteKind.GroupKind(), "", false, nil)
			})
			r.mustPass(t, "web")
			r.server.do(func(c *cluster) {
				if there := c.objects[webID] != nil; there == deleted {
					t.Errorf("the parent is there: %t", there)
				}
			})
			if left := (patchMemories{r.Memory}).otherPatches(uid, nil); !deleted && len(left) != 1 {
				t.Errorf("%v is remembered, want what was contributed", left)
			}
		})
	}
}

// notServed finds all kinds but ConfigMaps.
type notServed struct{ finder }

func (n *notServed) Kind(ctx context.Context, kind schema.GroupVersionKind) (kinds.Resource, error) {
	if kind == configMapKind {
		return kinds.Resource{}, &kinds.NotServedError{What: "kind ConfigMap"}
	}
	return n.finder.Kind(ctx, kind)
}
