package compose

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// ObservedPatch is an object that has to do with the patches of a parent: something is contributed
// to it, or is to be.
type ObservedPatch struct {
	// ID names the object.
	ID ChildID
	// Kind is the kind in the version that it was read in.
	Kind schema.GroupVersionKind
	// Missing is true when there is none of that name, as the API server has said in this pass.
	Missing bool
	// UID and ResourceVersion are those of the state that was observed.
	UID             types.UID
	ResourceVersion string
	// Deleting is true when the object has a deletionTimestamp.
	Deleting bool
	// Finalizers are those of the object.
	Finalizers []string
	// Owned is what the parent has contributed, by the definition's id of now or before.
	Owned map[string]*fieldpath.Set
	// Tree is the object as JSON values.
	Tree func() (map[string]any, error)

	marks marks
	patchMemo
}

// patchMemo is what is remembered of a patch, as far as it is.
type patchMemo struct {
	hash  string         // of what was contributed last
	owned *fieldpath.Set // what was ours then
}

// PatchInput is all that a plan of patches depends on.
type PatchInput struct {
	// Identity is the definition.
	Identity
	// Parent is the object that contributes.
	Parent Parent
	// Desired are the patches as they should be, in the order of the composer.
	Desired []*DesiredPatch
	// Children are the desired children of the parent.
	Children []*Desired
	// Unready are the names of those that are not ready.
	Unready map[string]bool
	// Observed are the objects there are, each once.
	Observed []*ObservedPatch
	// Hold says why nothing may be withdrawn; empty if it may.
	Hold string
	// Damped are patches that are not to be tried at the moment, and why.
	Damped map[ChildID]*opError
}

// Withdraw removes what a parent has contributed to an object.
const Withdraw Action = "withdraw"

// The reasons that patches alone have.
const (
	// ReasonOwnChild: the object is a child of this definition.
	ReasonOwnChild Reason = "OwnChild"
	// ReasonTargetAbsent: the object that is to be patched does not exist.
	ReasonTargetAbsent Reason = "TargetAbsent"
)

// PatchOp is one action on one object that is patched, or is to be.
type PatchOp struct {
	// Action is what is to be done: Apply, Withdraw, Read, Refuse, Wait or Skip.
	Action Action
	// Reason is why.
	Reason Reason
	// Message says more for a person. It names no value of the object.
	Message string
	// ID names the object.
	ID ChildID
	// Desired is the patch, nil when none is desired.
	Desired *DesiredPatch
	// Observed is the object, nil when nothing is known of it.
	Observed *ObservedPatch

	managers []string // whose contributions are withdrawn
	lost     []drift  // what an Apply sets back
}

// text is the message with the patch that it is about.
func (op PatchOp) text() string {
	if op.Desired == nil {
		return fmt.Sprintf("the patch of %s, which is not desired any more: %s", op.ID, op.Message)
	}
	return fmt.Sprintf("patch %s: %s", op.Desired.Name, op.Message)
}

// PlanPatches decides what is to be done about the patches of one parent: first those that are
// desired, in their order, then the others. It is pure, and a plan that has been carried out leads
// to one with nothing to do.
func PlanPatches(in PatchInput) []PatchOp {
	p := patchPlanner{PatchInput: in, at: map[ChildID]*ObservedPatch{}}
	for _, o := range in.Observed {
		p.at[o.ID] = o
	}
	ops := make([]PatchOp, 0, len(in.Desired))
	for i, d := range in.Desired {
		op := p.desired(i)
		op.ID, op.Desired, op.Observed = d.ID, d, p.at[d.ID]
		ops = append(ops, op)
	}
	for _, o := range in.Observed {
		wanted := slices.ContainsFunc(in.Desired, func(d *DesiredPatch) bool { return d.ID == o.ID })
		if managers := p.managersOn(o); !wanted && len(managers) > 0 {
			ops = append(ops, p.undesired(o, managers))
		}
	}
	return ops
}

// patchPlanner is the state of one call of PlanPatches.
type patchPlanner struct {
	PatchInput
	at map[ChildID]*ObservedPatch
}

func refusePatch(reason Reason, format string, args ...any) PatchOp {
	return PatchOp{Action: Refuse, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// desired decides on a patch.
func (p *patchPlanner) desired(i int) PatchOp {
	d := p.Desired[i]
	for _, other := range p.Desired[:i] {
		switch {
		case other.ID == d.ID:
			return refusePatch(ReasonDuplicate, "it is of the same object as patch %s", other.Name)
		case other.Name == d.Name:
			return refusePatch(ReasonDuplicate, "it has the same name as that of %s", other.ID)
		}
	}
	if i := slices.IndexFunc(p.Children, func(child *Desired) bool { return child.ID == d.ID }); i >= 0 {
		return refusePatch(ReasonOwnChild, "%s is child %s of the same parent: set it there", d.ID, p.Children[i].Name)
	}
	if op, waits := p.after(d); waits {
		return op
	}
	if failure := p.Damped[d.ID]; failure != nil && failure.reason != ReasonFight {
		return PatchOp{Action: Wait, Reason: failure.reason, Message: failure.Error()}
	}
	o := p.at[d.ID]
	switch {
	case o == nil:
		return PatchOp{Action: Read, Reason: ReasonTargetAbsent, Message: "it has to be read"}
	case o.Missing:
		return PatchOp{Action: Wait, Reason: ReasonTargetAbsent, Message: fmt.Sprintf("%s does not exist", d.ID)}
	case o.marks.installation == p.Installation && p.Identity.has(o.marks.definition):
		return refusePatch(ReasonOwnChild, "%s is child %s of %s, made by the same definition: set it there", d.ID, o.marks.child, o.marks.parent)
	}
	return p.existing(d, o)
}

// after decides on a patch by the children that come before it. It returns false when they are
// ready.
func (p *patchPlanner) after(d *DesiredPatch) (PatchOp, bool) {
	for _, name := range d.After {
		if !slices.ContainsFunc(p.Children, func(child *Desired) bool { return child.Name == name }) {
			return refusePatch(ReasonOrder, "it comes after child %s, which there is not", name), true
		}
		if p.Unready[name] {
			return PatchOp{Action: Wait, Reason: ReasonAfter, Message: fmt.Sprintf("it waits for child %s", name)}, true
		}
	}
	return PatchOp{}, false
}

// existing decides on a patch of an object that exists.
func (p *patchPlanner) existing(d *DesiredPatch, o *ObservedPatch) PatchOp {
	owned := o.Owned[p.Definition]
	if other := ownerOf(owned, p.Installation); other != "" {
		return refusePatch(ReasonForeign, "installation %s of kooperd contributes to %s for the same parent, by a definition with the same id", other, o.ID)
	}
	before := o.hash == d.hash && owned != nil && o.owned != nil && owned.Equals(o.owned)
	state, err := patchState{}, error(nil)
	if !before {
		state, err = d.compare(owned, o.Tree)
	}
	switch former := p.formerOn(o); {
	case err != nil:
		return refusePatch(ReasonForeign, "%s cannot be read: %v", o.ID, err)
	case state.current() && len(former) > 0:
		return PatchOp{Action: Withdraw, Reason: ReasonChanged, managers: former}
	case state.current():
		return PatchOp{Action: Skip, Reason: ReasonCurrent}
	case o.Deleting:
		return PatchOp{Action: Wait, Reason: ReasonDeleting, Message: deletingError(o).Error()}
	case o.hash == d.hash && len(state.lost) > 0 && p.Damped[d.ID] != nil:
		return PatchOp{Action: Wait, Reason: ReasonFight, Message: p.Damped[d.ID].Error()}
	case o.hash == d.hash && len(state.lost) > 0:
		return PatchOp{Action: Apply, Reason: ReasonDrift, lost: state.lost}
	default:
		return PatchOp{Action: Apply, Reason: ReasonChanged}
	}
}

// ownerOf returns the other installation by which something was applied; empty if there is none.
func ownerOf(owned *fieldpath.Set, installation string) (other string) {
	if owned == nil || owned.Has(patchedPath(installation)) {
		return ""
	}
	mark := patchedPath(installation)
	owned.WithPrefix(mark[0]).WithPrefix(mark[1]).Members.Iterate(func(element fieldpath.PathElement) {
		if element.FieldName == nil {
			return
		}
		if name, isMark := strings.CutSuffix(*element.FieldName, patchedSuffix); isMark {
			other = name
		}
	})
	return other
}

// patchedPath is the path of PatchedLabel.
func patchedPath(installation string) fieldpath.Path {
	return fieldpath.MakePathOrDie("metadata", "labels", PatchedLabel(installation))
}

// formerOn are the managers of the definition's former ids that have contributed to an object.
func (p *patchPlanner) formerOn(o *ObservedPatch) (managers []string) {
	for _, id := range p.Formerly {
		if o.Owned[id] != nil {
			managers = append(managers, PatchManager(id, p.Parent.UID))
		}
	}
	return managers
}

// managersOn are all that have contributed to an object for the parent. What another installation
// has contributed by the same name is not ours.
func (p *patchPlanner) managersOn(o *ObservedPatch) (managers []string) {
	for _, id := range append([]string{p.Definition}, p.Formerly...) {
		if owned := o.Owned[id]; owned != nil && ownerOf(owned, p.Installation) == "" {
			managers = append(managers, PatchManager(id, p.Parent.UID))
		}
	}
	return managers
}

// undesired decides on an object to which the parent has contributed, and is not to any more.
func (p *patchPlanner) undesired(o *ObservedPatch, managers []string) PatchOp {
	op := PatchOp{Action: Withdraw, Reason: ReasonNotDesired, ID: o.ID, Observed: o, managers: managers}
	if p.Hold != "" {
		op.Action, op.Reason, op.Message = Wait, ReasonHeld, p.Hold
	}
	return op
}
