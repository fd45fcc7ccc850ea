package kube

import (
	"iter"
	"strings"

	"kooperd.dev/kooperd/pkg/statusz"
)

// SourceID tells one source from others. It can be compared.
type SourceID struct{ id sourceID }

// SourceInfo is one source as people look at it.
type SourceInfo struct {
	// ID is that of the source.
	ID SourceID
	// Source says what it is and holds. Its Definitions are left to the caller.
	statusz.Source
	// Keys are those of all its objects, in no order. The source goes on meanwhile: an object that
	// comes or goes may be among them.
	Keys iter.Seq[Key]
}

// List returns the sources that are in use, in no order.
func (s *Sources) List() []SourceInfo {
	s.mu.Lock()
	used := make([]*sharedSource, 0, len(s.shared))
	for _, shared := range s.shared {
		if shared.users > 0 {
			used = append(used, shared)
		}
	}
	s.mu.Unlock()
	all := make([]SourceInfo, 0, len(used))
	for _, shared := range used {
		id := shared.id
		info := SourceInfo{
			ID: SourceID{id}, Keys: keysOf(shared.store.objectCache),
			Source: statusz.Source{
				APIVersion: id.kind.GroupVersion().String(), Kind: id.kind.Kind, Namespace: id.namespace, Selector: id.selector(),
				Content: id.content(), Status: shared.status.read(),
			},
		}
		info.Objects, info.Bytes = sizesOf(shared.store.objectCache)
		all = append(all, info)
	}
	return all
}

// keysAtATime is how many keys are taken from a cache while it is locked.
const keysAtATime = 256

// keysOf are the keys in a cache. Nothing is kept of them, and no lock is held while the caller
// looks at one.
func keysOf(c *objectCache) iter.Seq[Key] {
	return func(yield func(Key) bool) {
		some := make([]Key, 0, keysAtATime)
		c.mu.RLock()
		for key := range c.objects { // A map may change meanwhile. Another one may take its place.
			if some = append(some, key); len(some) < keysAtATime {
				continue
			}
			c.mu.RUnlock()
			for _, key := range some {
				if !yield(key) {
					return
				}
			}
			some = some[:0]
			c.mu.RLock()
		}
		c.mu.RUnlock()
		for _, key := range some {
			if !yield(key) {
				return
			}
		}
	}
}

// content says how much of an object is kept.
func (id sourceID) content() string {
	parts := []string{"whole"}
	if id.metadataOnly {
		parts[0] = "metadata"
	}
	if id.fieldManager != "" {
		parts = append(parts, "fields of "+id.fieldManager)
	}
	return strings.Join(parts, ", ")
}

// SourceIDs returns the sources that the view shows.
func (v *View) SourceIDs() []SourceID {
	ids := make([]SourceID, len(v.sources))
	for i, s := range v.sources {
		ids[i] = SourceID{s.id}
	}
	return ids
}
