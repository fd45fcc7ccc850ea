package kube

import (
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
	// Keys returns the keys of all its objects. The caller must not change them.
	Keys func() []Key
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
			ID: SourceID{id}, Keys: shared.store.allKeys,
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
