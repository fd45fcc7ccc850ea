package kube

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

const (
	// consistencyTimeout is how long a cache is waited for. It may never show a write, because the
	// object ceased to match a selector or the watch is broken.
	consistencyTimeout = 5 * time.Second
	// minTrackedParents is from how many on old entries are removed that were never asked for: a
	// handler may write objects whose parents are gone.
	minTrackedParents = 256
)

// ConsistencyStore lets a handler read its own writes. It remembers which versions the writes of
// one definition's handler have made, until the caches have them. A handler that is called
// before would see the world as it was before its own write.
//
// Writes are remembered by parent, the object that the handler is called for:
//   - An object of the parents' kind is its own parent, whatever the handler was called for.
//   - An object of another kind counts for the object that the handler was called for, see
//     WithCall. Only kinds with a cache count, see AddCache.
//
// What counts is the kind of the answer: a write of the scale of an object, or through a client for
// metadata alone, is not seen. Neither is a deletion that the API server answers with a Status. It
// is safe for concurrent use.
type ConsistencyStore struct {
	kind schema.GroupKind // of the parents

	mu      sync.Mutex
	caches  map[schema.GroupKind][]Cache
	parents map[Key]*parentWrites
	clean   int // from how many parents on old ones are removed
}

// Cache is a cache in which a write has to arrive; a View is one. It must be safe for concurrent
// use.
type Cache interface {
	// Reached reports whether the cache is as new as a version of an object, or will never have it.
	Reached(object Key, resourceVersion string) bool
}

// parentWrites are the writes for one parent that a cache may not have yet.
type parentWrites struct {
	newest map[cacheScope]string // resourceVersion
	at     time.Time             // of the last write
	asked  time.Time             // when Ready first said no; zero before
}

// cacheScope is what one order of versions holds for.
type cacheScope struct {
	kind      schema.GroupKind
	namespace string
}

// NewConsistencyStore makes the store of one definition, whose handler is called for objects of
// kind.
func NewConsistencyStore(kind schema.GroupVersionKind) *ConsistencyStore {
	return &ConsistencyStore{
		kind: kind.GroupKind(), caches: map[schema.GroupKind][]Cache{}, parents: map[Key]*parentWrites{},
		clean: minTrackedParents,
	}
}

// AddCache makes writes of objects of kind count: Ready waits until cache has them, until the
// returned function is called.
func (s *ConsistencyStore) AddCache(kind schema.GroupVersionKind, cache Cache) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := kind.GroupKind()
	s.caches[group] = append(slices.Clone(s.caches[group]), cache)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.caches[group] = slices.DeleteFunc(slices.Clone(s.caches[group]), func(other Cache) bool {
			return other == cache
		})
	}
}

// WroteAt remembers that a write for parent has given an object this version.
func (s *ConsistencyStore) WroteAt(parent Key, kind schema.GroupKind, object Key, resourceVersion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reached(s.caches[kind], object, resourceVersion) {
		return
	}
	s.removeOld()
	writes := s.parents[parent]
	if writes == nil {
		writes = &parentWrites{newest: map[cacheScope]string{}}
		s.parents[parent] = writes
	}
	writes.at = time.Now()
	scope := cacheScope{kind: kind, namespace: object.Namespace}
	if before, ok := writes.newest[scope]; !ok || olderVersion(before, resourceVersion) {
		writes.newest[scope] = resourceVersion // Answers may overtake each other.
	}
}

// removeOld keeps the store from growing. The mutex must be held.
func (s *ConsistencyStore) removeOld() {
	if len(s.parents) < s.clean {
		return
	}
	maps.DeleteFunc(s.parents, func(_ Key, writes *parentWrites) bool {
		return time.Since(writes.at) >= consistencyTimeout
	})
	s.clean = max(minTrackedParents, 2*len(s.parents))
}

// Ready reports whether the caches have every write for parent, so that its handler may be called.
// To see them, read the caches after it. Five seconds after it has first said no it says yes in any
// case.
func (s *ConsistencyStore) Ready(parent Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	writes := s.parents[parent]
	if writes == nil {
		return true
	}
	for scope, version := range writes.newest {
		if reached(s.caches[scope.kind], Key{Namespace: scope.namespace}, version) {
			delete(writes.newest, scope)
		}
	}
	if writes.asked.IsZero() {
		writes.asked = time.Now()
	}
	if len(writes.newest) > 0 && time.Since(writes.asked) < consistencyTimeout {
		return false
	}
	delete(s.parents, parent)
	return true
}

func reached(caches []Cache, object Key, resourceVersion string) bool {
	for _, cache := range caches {
		if !cache.Reached(object, resourceVersion) {
			return false
		}
	}
	return true
}

// Wrap returns a transport that notes the writes that go through next.
func (s *ConsistencyStore) Wrap(next http.RoundTripper) http.RoundTripper {
	return &writeReader{store: s, next: next}
}

// noteAnswer notes the write whose answer this is. ctx is that of the request.
func (s *ConsistencyStore) noteAnswer(ctx context.Context, answer []byte) {
	e, err := wire.ParseEnvelope(answer)
	if err != nil {
		return
	}
	kind := e.Kind.GroupKind()
	call := callOf(ctx)
	if kind != s.kind && call == nil {
		return
	}
	o, err := e.Object()
	if err != nil || o.ResourceVersion == "" {
		return
	}
	object := Key{Namespace: o.Namespace, Name: o.Name}
	parent := object
	if kind != s.kind {
		parent = call.parent
	}
	s.WroteAt(parent, kind, object, o.ResourceVersion)
}
