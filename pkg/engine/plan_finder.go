package engine

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
)

// planFinder asks for each kind once, however long a plan takes: it is about one moment.
type planFinder struct {
	finder kinds.Finder

	mu        sync.Mutex // held while it is asked
	kinds     map[schema.GroupVersionKind]foundKind
	resources map[schema.GroupResource]foundKind
}

type foundKind struct {
	resource kinds.Resource
	err      error
}

func newPlanFinder(finder kinds.Finder) *planFinder {
	return &planFinder{finder: finder, kinds: map[schema.GroupVersionKind]foundKind{}, resources: map[schema.GroupResource]foundKind{}}
}

// Kind implements kinds.Finder.
func (f *planFinder) Kind(ctx context.Context, kind schema.GroupVersionKind) (kinds.Resource, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return foundOnce(f.kinds, kind, func() (kinds.Resource, error) { return f.finder.Kind(ctx, kind) })
}

// Resource implements kinds.Finder.
func (f *planFinder) Resource(ctx context.Context, resource schema.GroupResource) (kinds.Resource, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return foundOnce(f.resources, resource, func() (kinds.Resource, error) { return f.finder.Resource(ctx, resource) })
}

// foundOnce finds something, unless it is known, or known that there is none.
func foundOnce[K comparable](known map[K]foundKind, of K, find func() (kinds.Resource, error)) (kinds.Resource, error) {
	if found, ok := known[of]; ok {
		return found.resource, found.err
	}
	resource, err := find()
	if err == nil || kinds.IsNotServed(err) {
		known[of] = foundKind{resource: resource, err: err}
	}
	return resource, err
}
