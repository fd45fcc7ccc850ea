package compose

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kooperd.dev/kooperd/pkg/handlers"
)

// newSuccessor returns a rig that has just begun a term. A leader before it has contributed to an
// object for some parents, which are being deleted now; the cache does not know of that.
func newSuccessor(t *testing.T, parents int) (r *rig, id ChildID, deleted []handlers.Object) {
	t.Helper()
	r = newContributor(t)
	id = r.target("shared")
	r.sync()
	cache := r.patched[configMapKind]
	objects, version := cache.objects, cache.version
	var names []string
	for i := range parents {
		names = append(names, fmt.Sprintf("web-%d", i))
		r.newWebsite(names[i], patchesOf("shared", "x"))
		r.mustPass(t, names[i])
		r.sync()
	}
	r.Pause()
	r.server.do(func(c *cluster) {
		for _, name := range names {
			if err := c.delete(idOf(websiteKind, "team-a", name), "", ""); err != nil {
				t.Fatal(err)
			}
		}
		r.parents.sync(c, websiteKind.GroupKind(), "", false, nil)
	})
	cache.objects, cache.version = objects, version
	for _, name := range names {
		deleted = append(deleted, r.parent(name))
	}
	r.server.take()
	return r, id, deleted
}

// Until the cache of a new leader has caught up, one list answers for all parents that go.
func TestOneListForAllParentsThatGo(t *testing.T) {
	r, id, deleted := newSuccessor(t, 20)
	var running sync.WaitGroup
	for _, parent := range deleted {
		running.Go(func() {
			if _, err := r.Handle(t.Context(), handlers.Request{Object: parent}); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	n := 0
	for _, asked := range r.server.take() {
		if asked.method == http.MethodGet && strings.Contains(asked.query, "patched") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d lists of what is patched for %d parents, want 1", n, len(deleted))
	}
	if got := r.object(id); got != "map[] map[own:1] [owner]" {
		t.Errorf("the object is %s, want nothing contributed", got)
	}
	r.server.do(func(c *cluster) {
		for of := range c.objects {
			if of.Kind == websiteKind.GroupKind() {
				t.Errorf("%s is still there", of)
			}
		}
	})

	// When the cache has caught up, the list is not kept.
	r.sync()
	r.newWebsite("other", patchesOf("shared", "x"))
	r.mustPass(t, "other")
	if n := len(r.caughtUp.patched); n > 0 {
		t.Errorf("%d lists are kept", n)
	}
}

// A list that fails is the failure of one parent, and the next one tries anew.
func TestListOfPatchesThatFails(t *testing.T) {
	r, id, deleted := newSuccessor(t, 2)
	failed := false
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if failed || !strings.Contains(asked.query, "patched") {
			return false
		}
		failed = true
		sendError(w, apierrors.NewInternalError(errDamaged))
		return true
	}
	for i, parent := range deleted {
		if _, err := r.Handle(t.Context(), handlers.Request{Object: parent}); (err == nil) != (i == 1) {
			t.Errorf("parent %d: error %v", i, err)
		}
	}
	if got := r.object(id); !strings.Contains(got, "web-0:x") || strings.Contains(got, "web-1:x") {
		t.Errorf("the object is %s, want what the first parent contributes", got)
	}
}
