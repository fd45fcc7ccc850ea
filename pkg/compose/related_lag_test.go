package compose

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestANamespaceThatIsNotSeenYetHoldsPrune makes a child for each Secret in a golden namespace, and
// then has a cache of Namespaces that lags behind that of the Secrets, as that of a new leader may.
func TestANamespaceThatIsNotSeenYetHoldsPrune(t *testing.T) {
	composer := handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (c handlers.Composition, _ error) {
		for _, o := range req.Related["s"] {
			c.Children = append(c.Children, keyChild(req.Object.Name(), o.Namespace()+"-"+o.Name(), "1"))
		}
		return c, nil
	})
	r, _ := relatedRig(t, composer, secrets("s", func(r *handlers.Related) { r.NamespaceSelector = gold }))
	r.mustPass(t, "web")
	r.sync()
	r.server.take()
	deleted := func() []string {
		return slices.DeleteFunc(r.asked(), func(request string) bool { return !strings.HasPrefix(request, "DELETE") })
	}

	seen := r.AllNamespaces.(*cache)
	r.AllNamespaces = &cache{}
	if result := r.mustPass(t, "web"); result.RequeueAfter != time.Second {
		t.Errorf("the parent is looked at again after %s, want a second", result.RequeueAfter)
	}
	if got := deleted(); len(got) > 0 {
		t.Errorf("what is for a namespace that is not seen yet is deleted: %v", got)
	}
	if got := r.conditionsOfWeb(t)["Ready=False"]; got != "Pending" {
		t.Errorf("the reason why the parent is not ready is %q", got)
	}

	r.namespace(t, "team-c", "silver")
	r.server.do(func(c *cluster) { seen.sync(c, schema.GroupKind{Kind: namespaceKind.Kind}, "", true, nil) })
	r.AllNamespaces = seen
	r.sync()
	r.mustPass(t, "web")
	if diff := cmp.Diff([]string{"DELETE " + configMapPath("web-team-c-three")}, deleted()); diff != "" {
		t.Errorf("deleted when another namespace is selected (-want +got):\n%s", diff)
	}
}
