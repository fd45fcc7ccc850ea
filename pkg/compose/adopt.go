package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
)

// adopts reports whether a policy allows to adopt anything.
func adopts(p handlers.ChildPolicy) bool {
	return p.Adopt == handlers.AdoptIfUnowned || p.Adopt == handlers.AdoptRestored || len(p.AdoptFrom) > 0
}

func checkAdoption(p handlers.ChildPolicy) error {
	switch p.Adopt {
	case "", handlers.AdoptNever, handlers.AdoptIfUnowned, handlers.AdoptRestored:
	default:
		return fmt.Errorf("there is no adopt policy %q: want never, ifUnowned or restored", p.Adopt)
	}
	if p.Adopt == handlers.AdoptNever && len(p.AdoptFrom) > 0 {
		return errors.New("adoptFrom has field managers, and the adopt policy is never")
	}
	for _, manager := range p.AdoptFrom {
		switch manager {
		case "":
			return errors.New("adoptFrom has an empty field manager")
		case FieldManager:
			return fmt.Errorf("adoptFrom has the field manager %s, which is that of all children", manager)
		case "*":
			return errors.New("adoptFrom has * alone, which is every field manager: name them, or how they begin")
		}
	}
	return nil
}

// stranger decides on an object that stands where a child should be and is not ours. refusal says
// what follows if it is not adopted.
func (p *planner) stranger(d *Desired, o *Observed, refusal Op) Op {
	if !adopts(d.Policy) {
		return refusal
	}
	claim, why := p.claim(d, o)
	switch {
	case why != "":
		refusal.Message += ", and is not adopted: " + why
		refusal.NotReady = refusal.Message
		return refusal
	case o.Managers == nil:
		return Op{Action: Read, Reason: refusal.Reason, NotReady: "it has to be read"}
	}
	return Op{
		Action: Adopt, Reason: ReasonAdopted, Message: claim.message, NotReady: "it is being adopted", managers: claim.managers,
		adopted: claim.foreign,
	}
}

// handles reports whether the definition handles the object where a child should be as a parent.
// One that the selectors or the condition leave out is none.
func handles(ctx context.Context, r *Reconciler, id ChildID) bool {
	if id.Kind != r.Kind.GroupKind() {
		return false
	}
	object, there := r.Parents.Get(id.Namespace, id.Name)
	return there && !r.Excludes(ctx, object)
}

// claim is why an object may be adopted.
type claim struct {
	message  string
	managers []string // whose fields become ours
	foreign  bool     // it was never a child of ours
}

// claim says why an object may be adopted, or why not. Of one that has not been read
// for that, it says what its marks say.
func (p *planner) claim(d *Desired, o *Observed) (c claim, why string) {
	switch other := p.controller(o); {
	case o.Deleting:
		return c, "it is being deleted"
	case other != "":
		return c, other + " controls it"
	case d.handled: // It would have children, and be one, and two parents could adopt each other.
		return c, "the definition handles it as a parent"
	}
	if d.Policy.Adopt == handlers.AdoptRestored && p.restored(o) {
		return claim{
			message:  "it was made for an earlier object of the parent's name",
			managers: p.restorers(o, d.Policy.AdoptFrom),
		}, ""
	}
	if other := p.marked(o); other != "" {
		return c, other
	}
	if o.Managers == nil {
		return c, ""
	}
	from := managersOf(o, d.Policy.AdoptFrom)
	switch {
	case len(from) > 0:
		return claim{message: "it is taken over from " + strings.Join(from, ", "), managers: from, foreign: true}, ""
	case len(d.Policy.AdoptFrom) > 0 && o.Owned != nil && !o.marks.hasParent:
		// What was theirs is ours by now, and that was all before we were cut off.
		return claim{message: "it has been taken over", foreign: true}, ""
	case d.Policy.Adopt == handlers.AdoptIfUnowned:
		return claim{message: "nothing else controls it", foreign: true}, ""
	case d.Policy.Adopt == handlers.AdoptRestored:
		return c, "it was not made for an earlier object of the parent's name"
	}
	return c, "none of its fields is from " + strings.Join(d.Policy.AdoptFrom, ", ")
}

// controller names who controls an object; empty if that is the parent, or was an object of the
// parent's kind and name, which cannot exist any more.
func (p *planner) controller(o *Observed) string {
	owner := controllerIn(o.references)
	if owner == nil || owner.UID == p.Parent.UID || p.isFormerParent(o, *owner) {
		return ""
	}
	return owner.Kind + " " + owner.Name
}

// isFormerParent reports whether the owner of an object is one whose place the parent has. An owner
// has the namespace of what it owns, or none.
func (p *planner) isFormerParent(o *Observed, owner metav1.OwnerReference) bool {
	if !p.Parent.mayOwn(o.ID.Namespace) {
		return false
	}
	kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
	return kind == p.Parent.Kind.GroupKind() && owner.Name == p.Parent.Name && owner.UID != p.Parent.UID
}

// restored reports whether an object says that it was made by this definition for an object whose
// place the parent has.
func (p *planner) restored(o *Observed) bool {
	m := o.marks
	return m.installation == p.Installation && p.identity().has(m.definition) && m.parent == p.Parent.text() && m.parentUID != p.Parent.UID
}

// marked names whose child an object says it is, unless that is the parent's.
func (p *planner) marked(o *Observed) string {
	m := o.marks
	switch {
	case m.hasInstallation && m.installation != p.Installation:
		return fmt.Sprintf("it has the mark of another installation of kooperd (label %s)", InstallationLabel)
	case m.hasParent && m.parentUID != p.Parent.UID:
		return fmt.Sprintf("it has the mark of another parent, %s", m.parent)
	case m.definition != "" && !p.identity().has(m.definition):
		return fmt.Sprintf("it has the mark of definition %s", m.definition)
	}
	return ""
}

// managersOf returns those of some field managers that have set fields of an object, sorted. A name
// that ends in * stands for all that begin like it, but for our own.
func managersOf(o *Observed, names []string) []string {
	var found []string
	for _, entry := range o.Managers {
		named := slices.ContainsFunc(names, func(name string) bool {
			prefix, many := strings.CutSuffix(name, "*")
			return name == entry.Manager || many && !isOwnManager(entry.Manager) && strings.HasPrefix(entry.Manager, prefix)
		})
		if entry.Subresource == "" && named {
			found = append(found, entry.Manager)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// isOwnManager reports whether a field manager is one of kooperd: of children, of what they leave
// to others, or of what a parent contributes.
func isOwnManager(name string) bool {
	return name == FieldManager || name == CreateManager || strings.HasPrefix(name, PatchManagers)
}

// restorers returns the field managers that have written the marks of an object, or the reference
// to its former parent: that is who has restored it. Some are given.
func (p *planner) restorers(o *Observed, names []string) []string {
	found := managersOf(o, names)
	for _, entry := range o.Managers {
		if entry.Subresource != "" || entry.Manager == FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply {
			continue
		}
		set, err := fieldsOf(entry)
		if err != nil {
			continue // It is left as it is.
		}
		if set.Has(markPaths[ParentUIDLabel]) || slices.ContainsFunc(o.references, func(r metav1.OwnerReference) bool {
			return p.isFormerParent(o, r) && refersTo(set, r)
		}) {
			found = append(found, entry.Manager)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// refersTo reports whether an owner reference is among some fields.
func refersTo(set *fieldpath.Set, r metav1.OwnerReference) bool {
	item := fieldpath.PathElement{Key: fieldpath.KeyByFields("uid", string(r.UID))}
	references := child(child(set, fieldpath.PathElement{FieldName: new("metadata")}), fieldpath.PathElement{FieldName: new("ownerReferences")})
	return references.Members.Has(item) || !child(references, item).Empty()
}
