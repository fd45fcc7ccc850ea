package compose

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
