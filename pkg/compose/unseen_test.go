package compose

import (
	"slices"
	"testing"
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
