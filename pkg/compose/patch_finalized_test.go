package compose

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// What cannot be contributed keeps no parent whose composer has finalized it, and what is
// contributed to that very object goes.
func TestPatchInConflictDoesNotKeepTheParent(t *testing.T) {
	composer := handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		c, err := contributor(ctx, req)
		c.Finalized = req.Finalizing
		return c, err
	})
	r := newRig(t, rigOptions{composer: composer, patches: []schema.GroupVersionKind{configMapKind}, finalizes: true})
	id := r.target("shared")
	r.newWebsite("web", patchesOf("shared", "x"))
	r.mustPass(t, "web")
	r.newWebsite("web", map[string]any{"key": "own", "patches": map[string]any{"shared": "2"}})
	if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), "conflict") {
		t.Fatalf("error %v, want a conflict", err)
	}
	r.server.do(func(c *cluster) {
		if err := c.delete(idOf(websiteKind, "team-a", "web"), "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.sync()
	r.mustPass(t, "web")
	if left := r.object(idOf(websiteKind, "team-a", "web")); left != "none" {
		t.Errorf("the parent is %s, want it gone", left)
	}
	if got := r.object(id); got != "map[] map[own:1] [owner]" {
		t.Errorf("the object is %s, want what was there before", got)
	}
}
