package compose

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"

	"kooperd.dev/kooperd/pkg/handlers"
)

// claimAround adds to the claims those of namespaces in which an heir has a child. That may have
// been made for another parent, or is not wanted any more and kept: what the heir reports of this
// parent says nothing of it. It stays until it is gone, of which no report need come. m.mu is held.
func claimAround(m *Moves, p *party, about parentRef, objects []ChildID, all map[ChildID]heirClaim) {
	for _, id := range objects {
		if _, claimed := all[id]; claimed || id.Kind != namespaceGroupKind {
			continue
		}
		why := insideOf(m, p, id.Name)
		if why == "" {
			continue
		}
		all[id] = heirClaim{why: why}
		if about.composed != "" { // A pass is made again. Who asks otherwise does that anyway.
			a := p.waiting[about.UID]
			a.key, a.stale = about.key, true
			p.waiting[about.UID] = a
		}
	}
}

// insideOf says what an heir of a party has in a namespace, or may have; empty for nothing. m.mu is
// held.
func insideOf(m *Moves, p *party, namespace string) string {
	for _, heir := range m.heirsOf(p) {
		r := m.active[heir.Definition]
		if r == nil {
			return fmt.Sprintf("it waits until definition %s, which may have children in it, works", heir.Definition)
		}
		switch child, there, known := childIn(r.reconciler, namespace); {
		case there:
			return fmt.Sprintf("%s of definition %s is in it", child, heir.Definition)
		case !known:
			return fmt.Sprintf("it waits until definition %s knows which children it has in it", heir.Definition)
		}
	}
	return ""
}

// childIn returns a child of the definition that is in a namespace, for whatever parent, and is not
// being deleted. known is false where there may be one that is not seen.
func childIn(r *Reconciler, namespace string) (child ChildID, there, known bool) {
	known = true
	for _, source := range r.children() {
		if !source.covers(namespace) {
			continue
		}
		known = known && (source.Source.Listed() || source.absent())
		if child, there = firstIn(source.Source, namespace, r.selector()); there {
			return child, true, true
		}
	}
	child, there = writtenIn(r.Memory, namespace)
	return child, there, known
}

// firstIn returns one of the objects of a namespace that are selected and not being deleted.
func firstIn(source Source, namespace string, selector labels.Selector) (ChildID, bool) {
	for _, o := range source.List(namespace, selector) {
		if o.Metadata().DeletionTimestamp == nil {
			return childIDOf(o), true
		}
	}
	return ChildID{}, false
}

func childIDOf(o handlers.Object) ChildID {
	return ChildID{Kind: o.GroupVersionKind().GroupKind(), Namespace: o.Namespace(), Name: o.Name()}
}

// writtenIn returns a child in a namespace that is being written, or was, and that the caches do
// not have yet.
func writtenIn(m *Memory, namespace string) (ChildID, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parents {
		for id, c := range p.children {
			if id.Namespace == namespace && (c.writing.n > 0 || c.answer != nil && !c.going) {
				return id, true
			}
		}
	}
	return ChildID{}, false
}
