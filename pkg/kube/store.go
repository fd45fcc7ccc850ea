package kube

import (
	"bytes"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Key names one object of a kind. Namespace is empty for a cluster-scoped object.
type Key struct {
	Namespace string
	Name      string
}

// EventType says what happened to an object.
type EventType int

// What can happen to an object.
const (
	// Listed means that the object was there when the source was first listed.
	Listed EventType = iota
	// Changed means that the object was created or changed.
	Changed
	// Deleted means that the object is gone.
	Deleted
)

// Event is one change of a cache.
type Event struct {
	Key  Key
	Type EventType

	old, now *object // before and after; nil where there is none, or where the time before is not known
}

// store is the cache of one source. The goroutine of the source is its only writer, so events leave it in order.
type store struct {
	kind      schema.GroupVersionKind
	namespace string // the only one that objects come from; empty: all
	hooks     storeHooks

	mu      sync.RWMutex
	listed  bool
	version string // resourceVersion up to which the cache has everything; empty before the first list
	objects map[Key]*object
	indexes indexes // not nil
}

// storeHooks are called on the goroutine that writes to the store, with no lock held.
type storeHooks struct {
	// event is called after each change.
	event func(Event)
	// replaced is called after each complete list.
	replaced func()
	// received is called after everything that came over a watch, bookmarks included.
	received func()
}

var (
	_ cache.ReflectorStore         = (*store)(nil)
	_ cache.ReflectorBookmarkStore = (*store)(nil)
)

func newStore(kind schema.GroupVersionKind, namespace string, hooks storeHooks) *store {
	return &store{kind: kind, namespace: namespace, hooks: hooks, objects: map[Key]*object{}, indexes: indexes{}}
}

func (s *store) Add(obj any) error { return s.put(obj) }

func (s *store) Update(obj any) error { return s.put(obj) }

func (s *store) Bookmark(resourceVersion string) error {
	s.mu.Lock()
	s.version = resourceVersion
	s.mu.Unlock()
	s.hooks.received()
	return nil
}

// Resync implements cache.ReflectorStore; resyncs are the engine's.
func (s *store) Resync() error { return nil }

func (s *store) put(obj any) error {
	entry, err := s.entry(obj)
	if err != nil {
		return err
	}
	key := entry.key()
	old, known := s.objects[key] // Nobody else writes.
	indexed := s.valuesOf(old, entry)
	s.mu.Lock()
	s.objects[key] = entry
	s.version = entry.ResourceVersion
	s.indexes.change(old, entry, indexed)
	s.mu.Unlock()
	s.changed(key, old, known, entry)
	s.hooks.received()
	return nil
}

// changed reports what became of one object. Another object of the same name means that the old one was deleted.
func (s *store) changed(key Key, old *object, known bool, entry *object) {
	if known && old.UID == entry.UID && old.ResourceVersion == entry.ResourceVersion && (entry.ResourceVersion != "" || bytes.Equal(old.Data, entry.Data)) {
		return
	}
	if known && old.UID != entry.UID {
		s.hooks.event(Event{Key: key, Type: Deleted, old: old})
		old = nil
	}
	s.hooks.event(Event{Key: key, Type: Changed, old: old, now: entry})
}

func (s *store) Delete(obj any) error {
	entry, err := s.entry(obj)
	if err != nil {
		return err
	}
	key := entry.key()
	old, known := s.objects[key] // Nobody else writes.
	indexed := s.valuesOf(old, nil)
	s.mu.Lock()
	delete(s.objects, key)
	s.version = entry.ResourceVersion
	s.indexes.change(old, nil, indexed)
	s.mu.Unlock()
	if known {
		s.hooks.event(Event{Key: key, Type: Deleted, old: old})
	}
	s.hooks.received()
	return nil
}

// Replace implements cache.ReflectorStore. What is gone since the last list is reported as deleted, what differs as
// changed; an object that is the same is not reported again.
func (s *store) Replace(items []any, resourceVersion string) error {
	next := make(map[Key]*object, len(items))
	for _, obj := range items {
		entry, err := s.entry(obj)
		if err != nil {
			return err
		}
		next[entry.key()] = entry
	}
	s.mu.Lock()
	prev, first := s.objects, !s.listed
	s.objects, s.listed, s.version, s.indexes = next, true, resourceVersion, indexes{}
	s.mu.Unlock()

	for key, old := range prev {
		if _, ok := next[key]; !ok {
			s.hooks.event(Event{Key: key, Type: Deleted, old: old})
		}
	}
	for key, entry := range next {
		if first {
			s.hooks.event(Event{Key: key, Type: Listed, now: entry})
			continue
		}
		old, known := prev[key]
		s.changed(key, old, known, entry)
	}
	s.hooks.replaced()
	return nil
}

// clear empties the cache when the kind is gone: its objects are gone with it.
func (s *store) clear() {
	s.mu.Lock()
	prev := s.objects
	s.objects, s.indexes = map[Key]*object{}, indexes{}
	s.mu.Unlock()
	for key, old := range prev {
		s.hooks.event(Event{Key: key, Type: Deleted, old: old})
	}
}

// entry returns what the reflector has handed over as what it is.
func (s *store) entry(obj any) (*object, error) {
	o, ok := obj.(*object)
	if !ok {
		return nil, fmt.Errorf("reading an object of kind %s: it is a %T", s.kind.Kind, obj)
	}
	return o, nil
}

// get returns an object that filter, nil for all, does not leave out.
func (s *store) get(key Key, filter labels.Selector) (handlers.Object, bool) {
	s.mu.RLock()
	o, ok := s.objects[key]
	s.mu.RUnlock()
	if !ok || !o.matches(filter) {
		return nil, false
	}
	return cachedObject{o}, true
}

// dedupe returns the object of the cache if one that has arrived says the same, else the one that has arrived: who keeps what
// this returns does not need the memory of both when everything is listed again. It is the text that must be the same, not the
// resourceVersion, which some kinds do not have and which says nothing of a CRD that is served differently than before.
func (s *store) dedupe(arrived *object) *object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[arrived.key()]
	if ok && o.Encoding == arrived.Encoding && bytes.Equal(o.Data, arrived.Data) {
		return o
	}
	return arrived
}

// reached reports whether the cache is as new as a version. One that cannot be compared counts as
// reached: nothing would ever say more of it.
func (s *store) reached(resourceVersion string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.version != "" && !olderVersion(s.version, resourceVersion)
}

// olderVersion reports whether one resourceVersion is certainly older than another.
func olderVersion(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

func (s *store) size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.objects)
}

// keys returns the keys of everything in the cache that filter does not leave out, or nothing before the first list.
func (s *store) keys(filter labels.Selector) []Key {
	var keys []Key
	for _, o := range s.all() {
		if o.matches(filter) {
			keys = append(keys, o.key())
		}
	}
	return keys
}

func (s *store) list(namespace string, selector, filter labels.Selector) []handlers.Object {
	var found []handlers.Object
	for _, o := range s.selected(namespace, selector) {
		if o.matches(filter, selector) {
			found = append(found, cachedObject{o})
		}
	}
	return found
}

// all returns all objects. To look at them takes longer than to collect them, and nobody shall wait for the lock meanwhile; they do
// not change.
func (s *store) all() []*object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	objects := make([]*object, 0, len(s.objects))
	for _, o := range s.objects {
		objects = append(objects, o)
	}
	return objects
}
