package compose

import (
	"fmt"
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// foreign says why an object that stands where a child should be is not to be written; empty when
// it may be.
func (p *planner) foreign(o *Observed) (Reason, string) {
	m := o.marks // One that another party has edited says nothing.
	switch {
	case m.hasInstallation && m.installation != p.Installation && (ownsLabel(o, InstallationLabel) || !p.proven(o)):
		return ReasonForeign, fmt.Sprintf("%s belongs to another installation of kooperd (label %s)", o.ID, InstallationLabel)
	case m.hasParent && m.parentUID != p.Parent.UID && (ownsLabel(o, ParentUIDLabel) || slices.Contains(o.OwnedReferences, m.parentUID)):
		return ReasonOtherParent, childOfAnother(p, o)
	case !p.proven(o) && !p.wiped(o):
		return ReasonForeign, notOurs(o)
	case m.definition != "" && !p.identity().has(m.definition) && ownsLabel(o, DefinitionLabel) && !fromDonor(p, o):
		return ReasonOtherParent, childOfAnother(p, o)
	}
	return "", ""
}

// childOfAnother names the parent of a child. An object that has had the parent's kind, namespace
// and name before it is gone.
func childOfAnother(p *planner, o *Observed) string {
	if p.restored(o) && p.controller(o) == "" {
		return fmt.Sprintf("%s is child %s of an earlier %s, which is gone, made by definition %s (kooperd orphans lists and deletes such objects)",
			o.ID, o.marks.child, o.marks.parent, o.marks.definition)
	}
	return fmt.Sprintf("%s is child %s of %s, made by definition %s", o.ID, o.marks.child, o.marks.parent, o.marks.definition)
}

func notOurs(o *Observed) string {
	if o.marks.hasParent {
		return fmt.Sprintf("%s carries the marks of a child and was not made by kooperd", o.ID)
	}
	return fmt.Sprintf("%s exists and was not made by kooperd", o.ID)
}

// markPaths are the paths of the labels that are marks.
var markPaths = map[string]fieldpath.Path{
	InstallationLabel: fieldpath.MakePathOrDie("metadata", "labels", InstallationLabel),
	DefinitionLabel:   fieldpath.MakePathOrDie("metadata", "labels", DefinitionLabel),
	ParentUIDLabel:    fieldpath.MakePathOrDie("metadata", "labels", ParentUIDLabel),
}

// ownsLabel reports whether our field manager owns one of the labels that are marks.
func ownsLabel(o *Observed, name string) bool {
	return o.Owned != nil && o.Owned.Has(markPaths[name])
}

// proven reports whether an object is provably the child of the parent: our field manager owns the
// mark of the parent or the owner reference to it. A copied label is owned by the one who copied
// it.
func (p *planner) proven(o *Observed) bool {
	byMark := o.marks.hasParent && o.marks.parentUID == p.Parent.UID && ownsLabel(o, ParentUIDLabel)
	return byMark || slices.Contains(o.OwnedReferences, p.Parent.UID)
}

// wiped reports whether an object is a child whose managedFields somebody has removed: it has all
// the marks, and the parent controls it. It may be applied, and is never deleted.
func (p *planner) wiped(o *Observed) bool {
	m := o.marks
	return o.Owned == nil && len(o.OwnedReferences) == 0 && o.controlledBy(p.Parent.UID) && m.parentUID == p.Parent.UID &&
		m.installation == p.Installation && (p.identity().has(m.definition) || slices.Contains(p.Donors, m.definition))
}
