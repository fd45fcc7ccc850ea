package compose

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestDeletedParentWaitsForChildrenThatNoCacheShows has a cache that lags behind what a leader
// before this one has made.
func TestDeletedParentWaitsForChildrenThatNoCacheShows(t *testing.T) {
	r := newDeleted(t)
	r.Reconciler = New(r.Options)
	r.Memory = NewMemory() // Another process is the leader.
	*r.caches[configMapKind] = cache{}
	r.mustPass(t, "web")
	if left := r.left(); !slices.Equal(left, []string{"near"}) {
		t.Errorf("left are %v, want what the collector deletes", left)
	}
}

// TestListsOfADeletion has caches that are behind a list at first, and have caught up then.
func TestListsOfADeletion(t *testing.T) {
	r := newRig(t, rigOptions{composer: twoNamespaces})
	remove := func(name string) (paths []string) {
		t.Helper()
		r.newWebsite(name, map[string]any{"at": name})
		r.mustPass(t, name)
		r.sync()
		id := idOf(websiteKind, "team-a", name)
		r.server.do(func(c *cluster) {
			if err := c.delete(id, "", ""); err != nil {
				t.Fatal(err)
			}
		})
		r.sync()
		r.server.take()
		r.mustPass(t, name)
		paths = lists(r.server.take())
		r.server.do(func(c *cluster) { delete(c.objects, idOf(configMapKind, "team-a", "near")) })
		r.sync()
		return paths
	}
	if paths := remove("web"); !slices.Equal(paths, []string{"/api/v1/configmaps"}) {
		t.Errorf("the first deletion of a term lists %v", paths)
	}
	if paths := remove("web"); len(paths) > 0 {
		t.Errorf("the next deletion lists %v", paths)
	}
	r.Pause()
	if paths := remove("web"); len(paths) != 1 {
		t.Errorf("the first deletion of another term lists %v", paths)
	}
}

// TestDeletedParentAndAKindThatIsNotServed lets the parent go, and no other one be handled.
func TestDeletedParentAndAKindThatIsNotServed(t *testing.T) {
	r := newDeleted(t)
	r.newWebsite("other", nil)
	r.server.take()
	r.caches[configMapKind].gone = true
	if result := r.mustPass(t, "other"); result.RequeueAfter != listedInterval || len(r.server.take()) > 0 {
		t.Errorf("the parent that lives is handled: %v", result)
	}
	r.mustPass(t, "web")
	if slices.Contains(r.left(), "web") {
		t.Error("the deleted parent waits for children that cannot be looked at")
	}
}

// farOf makes a child of its own for each parent in another namespace.
var farOf = handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	return handlers.Composition{Children: handlers.ChildrenOf(untyped(configMapKind, "team-b", req.Object.Name()+"-far", nil))}, nil
})

// TestOneListForManyParentsThatGo has parents that were made by a leader before this one, and are
// deleted before the cache of their children has caught up. The cache has those of one half.
func TestOneListForManyParentsThatGo(t *testing.T) {
	const parents = 30
	r := newRig(t, rigOptions{composer: farOf})
	var all []handlers.Object
	for i := range parents {
		r.newWebsite(fmt.Sprintf("web%d", i), nil)
	}
	for i := range parents {
		r.mustPass(t, fmt.Sprintf("web%d", i))
		if i == parents/2 {
			r.sync()
		}
	}
	seen := r.caches[configMapKind].version
	r.Reconciler = New(r.Options)
	r.Memory = NewMemory() // Another process is the leader.
	r.server.do(func(c *cluster) {
		for i := range parents {
			if err := c.delete(idOf(websiteKind, "team-a", fmt.Sprintf("web%d", i)), "", ""); err != nil {
				t.Error(err)
			}
		}
		r.parents.sync(c, websiteKind.GroupKind(), "", false, nil)
	})
	for i := range parents {
		all = append(all, r.parent(fmt.Sprintf("web%d", i)))
	}
	r.server.take()
	var running sync.WaitGroup
	for _, parent := range all {
		running.Go(func() {
			if _, err := r.Handle(t.Context(), handlers.Request{Object: parent}); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	asked := r.server.take()
	if n := len(lists(asked)); n != fewUnseen+1 {
		t.Errorf("%d lists for %d parents, want %d", n, parents, fewUnseen+1)
	}
	deletes := map[string]int{}
	for _, one := range asked {
		if one.method == http.MethodDelete {
			deletes[one.path]++
		}
	}
	if left := r.left(); len(left) > 0 || len(deletes) != parents {
		t.Errorf("left are %v, after %d deletes", left, len(deletes))
	}
	for path, n := range deletes {
		if n != 1 {
			t.Errorf("%s was deleted %d times", path, n)
		}
	}
	for _, list := range r.caughtUp.unseen {
		if n := len(list.by); n >= parents/2 || n == 0 {
			t.Errorf("the list has %d parents, want those alone that the cache of version %d has not seen", n, seen)
		}
	}
	r.sync()
	r.newWebsite("last", nil)
	r.mustPass(t, "last")
	r.sync()
	r.server.do(func(c *cluster) {
		if err := c.delete(idOf(websiteKind, "team-a", "last"), "", ""); err != nil {
			t.Error(err)
		}
	})
	r.sync()
	r.server.take()
	r.mustPass(t, "last")
	if paths := lists(r.server.take()); len(paths) > 0 || len(r.caughtUp.unseen) > 0 {
		t.Errorf("when the cache has caught up, it lists %v, and keeps %d lists", paths, len(r.caughtUp.unseen))
	}
}

// A child that the list has and that has changed, or gone, since is looked at as it is.
func TestOldListOfParentsThatGo(t *testing.T) {
	r := newRig(t, rigOptions{composer: farOf})
	names := []string{"kept", "gone"}
	for i := range fewUnseen + 1 {
		names = append(names, fmt.Sprintf("web%d", i))
	}
	for _, name := range names {
		r.newWebsite(name, nil)
		r.mustPass(t, name)
	}
	r.Reconciler = New(r.Options)
	r.Memory = NewMemory() // Another process is the leader.
	for i, name := range slices.Backward(names) {
		r.server.do(func(c *cluster) {
			if i == 1 {
				stranger := idOf(configMapKind, "team-b", "kept-far")
				c.wipe(stranger)
				c.edit(stranger, "kubectl", annotated("edited", "yes"))
				delete(c.objects, idOf(configMapKind, "team-b", "gone-far"))
			}
			if err := c.delete(idOf(websiteKind, "team-a", name), "", ""); err != nil {
				t.Error(err)
			}
			r.parents.sync(c, websiteKind.GroupKind(), "", false, nil)
		})
		r.server.take()
		r.mustPass(t, name)
	}
	if asked := r.asked(); strings.Contains(strings.Join(asked, " "), "GET /api/v1/configmaps") {
		t.Errorf("the list was made anew: %v", asked)
	}
	if left := r.left(); !slices.Equal(left, []string{"kept-far"}) {
		t.Errorf("left are %v", left)
	}
}

// A child that the cache has as that of another parent is in the list: the leader before may have
// taken it over a moment ago.
func TestListOfParentsThatGoHasWhatWasTakenOver(t *testing.T) {
	r := newRig(t, rigOptions{composer: farOf})
	var names []string
	for i := range fewUnseen + 2 {
		names = append(names, fmt.Sprintf("web%d", i))
		r.newWebsite(names[i], nil)
		r.mustPass(t, names[i])
	}
	last := names[len(names)-1]
	id := idOf(configMapKind, "team-b", last+"-far")
	var now stored
	r.server.do(func(c *cluster) {
		now = *c.objects[id]
		c.edit(id, "kubectl", func(tree map[string]any) {
			object(object(tree, "metadata"), "labels")[ParentUIDLabel] = "another"
		})
	})
	r.sync()
	r.server.do(func(c *cluster) { c.objects[id] = &now })
	r.Reconciler = New(r.Options)
	r.Memory = NewMemory() // Another process is the leader.
	for _, name := range names {
		r.server.do(func(c *cluster) {
			if err := c.delete(idOf(websiteKind, "team-a", name), "", ""); err != nil {
				t.Error(err)
			}
			r.parents.sync(c, websiteKind.GroupKind(), "", false, nil)
		})
		r.mustPass(t, name)
	}
	if left := r.left(); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}
