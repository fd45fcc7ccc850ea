package kube

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"kooperd.dev/kooperd/pkg/handlers"
)

// objectCache has the objects of one source and finds them by key, label, namespace or owner. It is
// safe for concurrent use, but only one goroutine may write.
type objectCache struct {
	namespace string // the only one that objects come from; empty: all

	mu       sync.RWMutex
	listed   bool
	complete bool   // listed, and not emptied since
	version  string // resourceVersion up to which the cache has everything; empty before the first list
	objects  map[Key]*object
	indexes  indexes // not nil
	keySet   uint64  // changes with the set of keys
	bytes    int64   // of the objects as they are kept

	collecting  sync.Mutex // guards those below; taken before mu
	collected   []Key      // all keys, as of collectedAt
	collectedAt uint64
}

func newObjectCache(namespace string) *objectCache {
	return &objectCache{namespace: namespace, objects: map[Key]*object{}, indexes: indexes{}}
}

// set adds or replaces an object and returns the one before it.
func (c *objectCache) set(key Key, o *object) (old *object, known bool) {
	old, known = c.objects[key] // There is no other writer, so this needs no lock.
	indexed := c.valuesOf(old, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[key] = o
	c.bytes += o.size() - old.size()
	if !known {
		c.keySet++
	}
	c.version = o.ResourceVersion
	c.indexes.change(old, o, indexed)
	return old, known
}

// remove takes an object out and returns it.
func (c *objectCache) remove(key Key, version string) (old *object, known bool) {
	old, known = c.objects[key] // There is no other writer, so this needs no lock.
	indexed := c.valuesOf(old, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, key)
	c.bytes -= old.size()
	c.keySet++
	c.version = version
	c.indexes.change(old, nil, indexed)
	return old, known
}

// reset replaces everything by a list. It returns what was there, and whether this is the first
// list.
func (c *objectCache) reset(next map[Key]*object, version string) (prev map[Key]*object, first bool) {
	bytes := int64(0)
	for _, o := range next {
		bytes += o.size()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	prev, first = c.objects, !c.listed
	c.objects, c.listed, c.complete, c.version, c.indexes, c.bytes = next, true, true, version, indexes{}, bytes
	c.keySet++
	return prev, first
}

// empty takes everything out and returns it.
func (c *objectCache) empty() (prev map[Key]*object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prev = c.objects
	c.objects, c.indexes, c.complete, c.bytes = map[Key]*object{}, indexes{}, false, 0
	c.keySet++
	return prev
}

// advance notes that the cache has everything up to a version.
func (c *objectCache) advance(version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version = version
}

// get returns an object that filter, nil for all, does not leave out.
func (c *objectCache) get(key Key, filter labels.Selector) (handlers.Object, bool) {
	c.mu.RLock()
	o, ok := c.objects[key]
	c.mu.RUnlock()
	if !ok || !o.matches(filter) {
		return nil, false
	}
	return cachedObject{o}, true
}

// dedupe returns the cached object if one that has arrived says the same, else the one that has
// arrived. A new list of everything then does not need the memory of both. The text decides and not
// the resourceVersion: some kinds have none, and it stays when a CRD is served differently than
// before.
func (c *objectCache) dedupe(arrived *object) *object {
	c.mu.RLock()
	defer c.mu.RUnlock()
	o, ok := c.objects[arrived.key()]
	if ok && o.Encoding == arrived.Encoding && o.sameFields(arrived) && bytes.Equal(o.Data, arrived.Data) {
		return o
	}
	return arrived
}

// reached reports whether the cache is as new as a version. One that cannot be compared counts as
// reached: nothing will ever say more of it.
func (c *objectCache) reached(resourceVersion string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.version != "" && !olderVersion(c.version, resourceVersion)
}

// isComplete reports whether the cache has everything that there was at some time.
func (c *objectCache) isComplete() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.complete
}

// olderVersion reports whether one resourceVersion is certainly older than another.
func olderVersion(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

func (c *objectCache) size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.objects)
}

// sizesOf returns how many objects there are, and how many bytes they have as they are kept.
func sizesOf(c *objectCache) (objects int, bytes int64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.objects), c.bytes
}

// keys returns the keys of everything in the cache that filter does not leave out, or nothing
// before the first list. The caller must not change them.
func (c *objectCache) keys(filter labels.Selector) []Key {
	if filter == nil || filter.Empty() {
		return c.allKeys()
	}
	var keys []Key
	for _, o := range c.all() {
		if o.matches(filter) {
			keys = append(keys, o.key())
		}
	}
	return keys
}

// allKeys collects the keys once for all definitions that ask for them at the same time, as they do
// at the start of a term: with many of them, the keys would take more memory than the objects.
func (c *objectCache) allKeys() []Key {
	c.collecting.Lock()
	defer c.collecting.Unlock()
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.collectedAt != c.keySet {
		c.collected, c.collectedAt = slices.AppendSeq(make([]Key, 0, len(c.objects)), maps.Keys(c.objects)), c.keySet
	}
	return c.collected
}

func (c *objectCache) list(namespace string, selector, filter labels.Selector) []handlers.Object {
	var found []handlers.Object
	for _, o := range c.selected(namespace, selector) {
		if o.matches(filter, selector) {
			found = append(found, cachedObject{o})
		}
	}
	return found
}

// all returns all objects, which do not change. They are collected first, as looking at each takes
// longer and the lock must not be held meanwhile.
func (c *objectCache) all() []*object {
	c.mu.RLock()
	defer c.mu.RUnlock()
	objects := make([]*object, 0, len(c.objects))
	for _, o := range c.objects {
		objects = append(objects, o)
	}
	return objects
}
