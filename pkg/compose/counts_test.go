package compose

import (
	"context"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// newRefusedRig is a rig with a website that has a child and a patch, and another child that is
// refused.
func newRefusedRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, rigOptions{composer: contributor, patches: []schema.GroupVersionKind{configMapKind}, owns: []schema.GroupVersionKind{secretKind}})
	r.Composer = handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		c, err := contributor(ctx, req)
		c.Children = handlers.ChildrenOf(untyped(secretKind, "", "mine", nil), untyped(secretKind, "", "strange", nil))
		return c, err
	})
	r.target("shared")
	r.server.do(func(c *cluster) { c.edit(idOf(secretKind, "team-a", "strange"), "kubectl", func(map[string]any) {}) })
	r.newWebsite("web", patchesOf("shared", "x"))
	for range 2 {
		if _, err := r.pass(t, "web"); err == nil {
			t.Fatal("nothing is refused")
		}
		r.sync()
	}
	return r
}

// A composer that fails changes nothing of what there is, so it is counted as before.
func TestCountsOfAParentThatFails(t *testing.T) {
	r := newRefusedRig(t)
	want := func(when string, ready, refused, patched float64) {
		t.Helper()
		got := [3]float64{
			metricOf(t, r, "kooperd_compose_children", "ready"), metricOf(t, r, "kooperd_compose_children", "refused"),
			metricOf(t, r, "kooperd_compose_patches", "applied"),
		}
		if want := [3]float64{ready, refused, patched}; got != want {
			t.Errorf("%s: ready, refused and patched are %v, want %v", when, got, want)
		}
	}
	want("at first", 1, 1, 1)
	r.setSpec("web", map[string]any{"fail": true})
	r.sync()
	if _, err := r.pass(t, "web"); err == nil {
		t.Fatal("the composer does not fail")
	}
	want("when the composer fails", 1, 1, 1)
	r.setSpec("web", map[string]any{"fail": false})
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", func(tree map[string]any) { delete(object(tree, "metadata"), "finalizers") })
	})
	r.sync()
	r.refuseFirst(errRefused, ofMethod(http.MethodPatch, "/websites/"))
	if _, err := r.pass(t, "web"); err == nil {
		t.Fatal("the finalizer can be added")
	}
	want("when the parent cannot be written, and the stranger was not looked at", 1, 0, 1)
	r.Forget(webKey, "")
	want("when the parent is gone", 0, 0, 0)
}

// A parent is not counted as paused any more when it is not, whatever comes of its pass.
func TestCountsOfAParentThatWasPaused(t *testing.T) {
	for name, failure := range map[string]error{"a failure": errDamaged, "the hook is not there": handlers.Unavailable(errDamaged)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{composer: keys})
			r.newWebsite("web", map[string]any{"children": names(1)})
			r.mustPass(t, "web")
			for _, value := range []string{"true", "false"} {
				r.server.do(func(c *cluster) {
					c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", annotated(PausedAnnotation, value))
				})
				r.sync()
				_, _ = r.pass(t, "web") // The second one fails.
				if paused := metricOf(t, r, "kooperd_compose_paused_parents", definition); (paused == 1) != (value == "true") {
					t.Errorf("while the annotation is %s, %v parents are paused", value, paused)
				}
				r.Composer = handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
					return handlers.Composition{}, failure
				})
			}
			if ready := metricOf(t, r, "kooperd_compose_children", "ready"); ready != 1 {
				t.Errorf("%v children are ready, want 1", ready)
			}
		})
	}
}
