package compose

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// afterwards makes a child that is ready when its data says so, and contributes after it to the
// ConfigMap shared.
var afterwards = handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	var site struct {
		Spec struct {
			After string `json:"after"`
			Value string `json:"value"`
		} `json:"spec"`
	}
	if err := req.Object.Into(&site); err != nil {
		return handlers.Composition{}, err
	}
	child := handlers.Child{Name: "first", Object: untyped(configMapKind, "", "first", nil)}
	child.Policy.Ready = func(o handlers.Object) (bool, string) {
		return o.Metadata().Labels["ready"] == "yes", "it has no label"
	}
	patch := handlers.Patch{
		Name: "second", Object: untyped(configMapKind, "", "shared", map[string]any{"data": map[string]any{"by": site.Spec.Value}}),
		After: []string{site.Spec.After},
	}
	return handlers.Composition{Children: []handlers.Child{child}, Patches: []handlers.Patch{patch}}, nil
})

func TestPatchComesAfterChildren(t *testing.T) {
	r := newRig(t, rigOptions{composer: afterwards, patches: []schema.GroupVersionKind{configMapKind}})
	id := r.target("shared")
	contributes := func(want string) {
		t.Helper()
		if got := r.object(id); strings.Contains(got, "by:") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("the object is %s, want %q in it", got, want)
		}
	}
	label := func(value string) {
		t.Helper()
		r.server.do(func(c *cluster) {
			c.edit(idOf(configMapKind, "team-a", "first"), "kubectl", func(tree map[string]any) {
				object(object(tree, "metadata"), "labels")["ready"] = value
			})
		})
		r.sync()
		r.mustPass(t, "web")
	}
	r.newWebsite("web", map[string]any{"after": "first", "value": "x"})
	r.mustPass(t, "web")
	contributes("")
	if conditions := r.text("status", "conditions"); !strings.Contains(conditions, "first: it has no label") || strings.Contains(conditions, "status:True type:Degraded") {
		t.Errorf("the conditions are %s, want one about the child that blocks", conditions)
	}
	label("yes")
	contributes("by:x")
	r.settled(t, "web")

	// What is there stays as it is while the child is not ready again.
	label("no")
	r.newWebsite("web", map[string]any{"after": "first", "value": "y"})
	r.mustPass(t, "web")
	contributes("by:x")
	label("yes")
	contributes("by:y")

	r.newWebsite("web", map[string]any{"after": "firts", "value": "y"})
	if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), "patch second: it comes after child firts, which there is not") {
		t.Errorf("error %v, want one about a child that there is not", err)
	}
	contributes("by:y")
}
