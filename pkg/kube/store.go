package kube

import (
	"bytes"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
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
	change   *Change // between both; nil where nobody else has the same event
}

// store is what the reflector of a source writes to: it keeps the objects in its cache and reports
// what has changed. The goroutine of the source is its only writer, so events leave it in order.
type store struct {
	*objectCache
	kind  schema.GroupVersionKind
	hooks storeHooks
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
	return &store{objectCache: newObjectCache(namespace), kind: kind, hooks: hooks}
}

func (s *store) Add(obj any) error { return s.put(obj) }

func (s *store) Update(obj any) error { return s.put(obj) }

func (s *store) Bookmark(resourceVersion string) error {
	s.advance(resourceVersion)
	s.hooks.received()
	return nil
}

// Resync does nothing: resyncs are the engine's.
func (s *store) Resync() error { return nil }

func (s *store) put(obj any) error {
	entry, err := s.entry(obj)
	if err != nil {
		return err
	}
	key := entry.key()
	old, known := s.set(key, entry)
	s.changed(key, old, known, entry)
	s.hooks.received()
	return nil
}

// changed reports what became of one object. Another object of the same name means that the old one
// was deleted.
func (s *store) changed(key Key, old *object, known bool, entry *object) {
	if known && old.UID == entry.UID && old.ResourceVersion == entry.ResourceVersion && old.sameFields(entry) &&
		(entry.ResourceVersion != "" || bytes.Equal(old.Data, entry.Data)) {
		return
	}
	if known && old.UID != entry.UID {
		s.hooks.event(Event{Key: key, Type: Deleted, old: old})
		old = nil
	}
	e := Event{Key: key, Type: Changed, old: old, now: entry}
	e.change = e.Change()
	s.hooks.event(e)
}

func (s *store) Delete(obj any) error {
	entry, err := s.entry(obj)
	if err != nil {
		return err
	}
	key := entry.key()
	if old, known := s.remove(key, entry.ResourceVersion); known {
		s.hooks.event(Event{Key: key, Type: Deleted, old: old})
	}
	s.hooks.received()
	return nil
}

// Replace takes a complete list. What is gone since the last list is reported as deleted, what
// differs as changed; an object that is the same is not reported again.
func (s *store) Replace(items []any, resourceVersion string) error {
	next := make(map[Key]*object, len(items))
	for _, obj := range items {
		entry, err := s.entry(obj)
		if err != nil {
			return err
		}
		next[entry.key()] = entry
	}
	prev, first := s.reset(next, resourceVersion)
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
	for key, old := range s.empty() {
		s.hooks.event(Event{Key: key, Type: Deleted, old: old})
	}
}

// entry returns what the reflector has handed over as an object.
func (s *store) entry(obj any) (*object, error) {
	o, ok := obj.(*object)
	if !ok {
		return nil, fmt.Errorf("reading an object of kind %s: it is a %T", s.kind.Kind, obj)
	}
	return o, nil
}
