package compose

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/kube"
)

// overlay puts what is remembered over what the caches have: answers that they do not have yet, and
// objects that were deleted. It drops what they have by now.
func (m *Memory) overlay(
	parent types.UID, observed map[ChildID]observedChild, sourceOf func(schema.GroupKind) (ChildSource, bool),
) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return
	}
	for id, c := range p.children {
		source, ok := sourceOf(id.Kind)
		if !ok {
			delete(p.children, id)
			continue
		}
		cached, there := observed[id]
		if c.gone {
			c.overlayDeletion(p, id, cached, there, observed)
			continue
		}
		if c.answer != nil && source.Source.Reached(kube.Key{Namespace: id.Namespace, Name: id.Name}, c.version) {
			c.answer = nil
		}
		if c.answer != nil {
			cached, there = observe(c.answer, source.MetadataOnly), true
			observed[id] = cached
		}
		switch {
		case there && cached.UID == c.uid && cached.ResourceVersion == c.version:
			cached.applied = c.hash
		case !there && c.writing.n == 0:
			delete(p.children, id)
		}
	}
}

// overlayDeletion takes a deleted object out, until the cache knows that it is gone, or that it is
// still being deleted.
func (c *childMemory) overlayDeletion(
	p *parentMemory, id ChildID, cached observedChild, there bool, observed map[ChildID]observedChild,
) {
	if there && cached.UID == c.uid && !cached.Deleting {
		delete(observed, id)
		return
	}
	if c.writing.n == 0 {
		delete(p.children, id)
	}
}

// isGone reports whether the object of that UID was deleted by us.
func (m *Memory) isGone(parent types.UID, id ChildID, uid types.UID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return false
	}
	c := p.children[id]
	return c != nil && c.gone && c.uid == uid
}

// clear forgets everything.
func (m *Memory) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.parents)
	clear(m.byKey)
}
