package compose

import (
	"fmt"

	"kooperd.dev/kooperd/pkg/handlers"
)

// keepAroundHeirs keeps those of the namespaces that would be deleted in which an heir has a child,
// for whatever parent. So it is with those that the donor has in it and keeps: the namespace stays,
// and nothing waits for that to end.
func keepAroundHeirs(m *Moves, donor string, ops []Op) {
	for i, op := range ops {
		if op.Action != Delete || op.ID.Kind != namespaceGroupKind {
			continue
		}
		if why := insideOf(m, donor, op.ID.Name); why != "" {
			ops[i].Action, ops[i].Reason, ops[i].Message = Retain, ReasonInUse, why
		}
	}
}

// workingHeir is an heir with the revision of it that handles objects.
type workingHeir struct {
	id         string
	reconciler *Reconciler // nil for none
}

// workingHeirs are the heirs of a definition, in the order of their ids.
func workingHeirs(m *Moves, donor string) []workingHeir {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	heirs := m.heirsOf(m.parties[donor])
	all := make([]workingHeir, len(heirs))
	for i, heir := range heirs {
		all[i].id = heir.Definition
		if r := m.active[heir.Definition]; r != nil {
			all[i].reconciler = r.reconciler
		}
	}
	return all
}

// insideOf says what an heir of a definition has in a namespace, or may have; empty for nothing. It
// looks through all that the heirs have there, so it is asked only of namespaces that would be
// deleted.
func insideOf(m *Moves, donor, namespace string) string {
	for _, heir := range workingHeirs(m, donor) {
		if heir.reconciler == nil {
			return fmt.Sprintf("it stays until definition %s works, which may have children in it", heir.id)
		}
		switch child, there, known := childIn(heir.reconciler, namespace); {
		case there:
			return fmt.Sprintf("%s of definition %s is in it", child, heir.id)
		case !known:
			return fmt.Sprintf("it stays until definition %s knows which children it has in it", heir.id)
		}
	}
	return ""
}

// childIn returns a child of the definition that is in a namespace, for whatever parent, and is not
// being deleted. known is false where there may be one that is not seen. Those of kinds and in
// namespaces that the definition does not watch, or not any more, are not seen, and are no concern.
func childIn(r *Reconciler, namespace string) (child ChildID, there, known bool) {
	known = r.Recorded.isRecorded() // Else, not all former kinds are watched yet.
	for _, source := range r.children() {
		if !source.covers(namespace) {
			continue
		}
		known = known && (source.Source.Listed() || source.absent())
		if child, there = firstIn(source.Source, namespace, r.Identity); there {
			return child, true, true
		}
	}
	child, there = writtenIn(r.Memory, namespace)
	return child, there, known
}

// firstIn returns one of the objects of a namespace that the definition has made, and that is not
// being deleted. A selector would cost a copy of all of them.
func firstIn(source Source, namespace string, by Identity) (ChildID, bool) {
	for _, o := range source.List(namespace, nil) {
		meta := o.Metadata()
		if meta.DeletionTimestamp == nil && meta.Labels[InstallationLabel] == by.Installation && by.has(meta.Labels[DefinitionLabel]) {
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
