package compose

import (
	"context"
	"sync"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

// absent reports whether the API server does not serve the kind of a cache, at least for now. Its
// objects cannot be looked at, and block nothing.
func (s ChildSource) absent() bool { return isAbsent(s.Source) }

func isAbsent(source Source) bool {
	state, _ := source.Status()
	return state == status.Waiting
}

// caughtUp knows of caches that they have everything that was written before this term: what was
// written since is remembered. It is safe for concurrent use.
type caughtUp struct {
	mu      sync.Mutex
	lists   map[place]string // the version of a list that was made in this term
	patched map[place]*patchedList
	unseen  map[place]*unseenList
}

// place is a namespace, "" for all, of a cache.
type place struct {
	source    Source
	namespace string
}

// has reports whether a cache has caught up.
func (c *caughtUp) has(p place) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	version, listed := c.lists[p]
	if !listed || !p.source.Reached(kube.Key{Namespace: p.namespace}, version) {
		return false
	}
	delete(c.patched, p) // Nobody asks for them any more.
	delete(c.unseen, p)
	return true
}

// listed notes a list. What came before the first one is in all later ones.
func (c *caughtUp) listed(p place, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lists == nil {
		c.lists = map[place]string{}
	}
	if _, before := c.lists[p]; !before {
		c.lists[p] = version
	}
}

// clear forgets all lists: another process may write from now on.
func (c *caughtUp) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.lists)
	clear(c.patched)
	clear(c.unseen)
}

// findUnseen looks at the API server for children of the parent that the caches do not have yet: a
// leader before this one may have made them a moment ago. It reports whether there are any, which
// are part of what is observed then.
func (p cleaning) findUnseen(ctx context.Context) (found bool, err error) {
	seen := p.observeChildren()
	for _, source := range p.children() {
		if source.absent() {
			continue
		}
		namespaces := source.Namespaces
		if len(namespaces) == 0 {
			namespaces = []string{""}
		}
		for _, namespace := range namespaces {
			at := place{source: source.Source, namespace: namespace}
			if p.caughtUp.has(at) {
				continue
			}
			objects, err := p.listUnseen(ctx, source, at)
			if err != nil {
				return found, err
			}
			for _, object := range objects {
				child := observe(object, true)
				_, known := seen[child.ID]
				if known || p.Memory.isGone(p.parent.UID, child.ID, child.UID) || !p.all && p.parent.mayOwn(child.ID.Namespace) {
					continue
				}
				p.live[child.ID], found = child, true
			}
		}
	}
	return found, nil
}
