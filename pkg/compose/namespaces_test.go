package compose

import (
	"net/http"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// newSpace is a rig with a website that has made a namespace, and something in it, which are not
// desired any more.
func newSpace(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, rigOptions{
		owns: []schema.GroupVersionKind{deploymentKind, namespaceKind}, composer: always(
			handlers.Child{Name: "space", Object: untyped(namespaceKind, "", "space", nil), Policy: handlers.ChildPolicy{Prune: true}},
			handlers.Child{Name: "inside", Object: untyped(deploymentKind, "space", "inside", nil)},
		),
	})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	r.sync()
	r.Composer = always()
	return r
}

// A namespace stays while a child in it cannot be deleted, although that one comes first by its
// name.
func TestNamespaceOfAChildThatCannotBeDeleted(t *testing.T) {
	r := newSpace(t)
	r.refuseFirst(errRefused, ofMethod(http.MethodDelete, "/deployments/"))
	if _, err := r.pass(t, "web"); err == nil {
		t.Error("there is no error")
	}
	if left := r.left(); !slices.Equal(left, []string{"inside", "space", "web"}) {
		t.Errorf("left are %v", left)
	}
	r.server.answer = nil
	r.mustPass(t, "web")
	if left := r.left(); !slices.Equal(left, []string{"web"}) {
		t.Errorf("when the deletion is refused no more, left are %v", left)
	}
}

// A namespace stays when a child in it turns out not to be ours any more.
func TestNamespaceOfAChildThatTurnsOutToBeForeign(t *testing.T) {
	r := newSpace(t)
	r.server.do(func(c *cluster) {
		id := idOf(deploymentKind, "space", "inside")
		c.wipe(id)
		c.edit(id, "kubectl", annotated("edited", "yes")) // The cache does not have that.
	})
	r.mustPass(t, "web")
	if left := r.left(); !slices.Equal(left, []string{"inside", "space", "web"}) {
		t.Errorf("left are %v", left)
	}
}
