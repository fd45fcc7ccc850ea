package compose

import (
	"context"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// patchedList is a list of what is patched at a place. It answers for all parents that go until the
// cache has caught up: it has what was patched before this term, and what was patched since is
// remembered. It is safe for concurrent use.
type patchedList struct {
	making chan struct{} // has room for the one that makes it
	by     map[string][]handlers.Object
}

// patchedAt returns the list of a place.
func (c *caughtUp) patchedAt(p place) *patchedList {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.patched == nil {
		c.patched = map[place]*patchedList{}
	}
	list := c.patched[p]
	if list == nil {
		list = &patchedList{making: make(chan struct{}, 1)}
		c.patched[p] = list
	}
	return list
}

// dropPatched drops the lists of caches that have caught up.
func (c *caughtUp) dropPatched() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.patched {
		if version, listed := c.lists[p]; listed && p.source.Reached(kube.Key{Namespace: p.namespace}, version) {
			delete(c.patched, p)
		}
	}
}

// of returns the objects that one of some field managers has applied. If there is no list yet, it
// is made, by one call at a time.
func (l *patchedList) of(ctx context.Context, managers []string, list func() ([]handlers.Object, error)) (found []handlers.Object, err error) {
	select {
	case l.making <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-l.making }()
	if l.by == nil {
		objects, err := list()
		if err != nil {
			return nil, err
		}
		l.by = map[string][]handlers.Object{}
		for _, object := range objects {
			for manager := range kube.AppliedBy(object) {
				l.by[manager] = append(l.by[manager], object)
			}
		}
	}
	for _, manager := range managers {
		found = append(found, l.by[manager]...)
	}
	return found, nil
}
