package compose

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Observed is an object that has to do with a parent: it carries the parent's mark, or it is where
// a child should be.
type Observed struct {
	// ID names the object.
	ID ChildID
	// UID and ResourceVersion are those of the state that was observed.
	UID             types.UID
	ResourceVersion string
	// Owned is what our field manager owns of it by apply, without owner references; nil if it has
	// no such entry.
	Owned *fieldpath.Set
	// OwnedReferences are the owner references that it owns.
	OwnedReferences []types.UID
	// Deleting is true when the object has a deletionTimestamp.
	Deleting bool
	// Finalizers are those of the object.
	Finalizers []string
	// Whole is false when the metadata alone is known.
	Whole bool
	// Managers are the entries of its managedFields when the object has been read to find out
	// whether it may be adopted; nil if it has not.
	Managers []metav1.ManagedFieldsEntry
	// Ready reports whether the object is ready, and if not, why. It is asked with the policy of
	// the child, if that is desired.
	Ready func(*Desired) (ready bool, why string)
	// Tree is the object as JSON values.
	Tree func() (map[string]any, error)

	marks      marks
	references []metav1.OwnerReference // all there are
	deleted    time.Time               // when it was; zero unless Deleting
	memo
}

// memo is what is remembered of an object, as far as it is: hashes of what was applied.
type memo struct {
	applied   string // in this very state
	last      string // last, in whatever state
	immutable string // of what is refused because the object cannot be changed so
}

// Input is all that a plan depends on.
type Input struct {
	// Installation and Definition are the marks of what is ours.
	Installation, Definition string
	// Formerly are definitions whose children are ours too: the definition was called so before.
	Formerly []string
	// Donors are the ids of definitions that go on. What they have made for the same parent is
	// taken over where it is desired.
	Donors []string
	// Kept are children that are not to be taken over from Donors, or, where they finish and do not
	// exist, not to be made.
	Kept map[ChildID]Kept
	// Claimed are objects that are not to be deleted, because other definitions may take them over,
	// with why.
	Claimed map[ChildID]string
	// Parent is the object that the children are for.
	Parent Parent
	// Desired are the children as they should be, in the order of the composer.
	Desired []*Desired
	// Observed are the objects there are, each once.
	Observed []*Observed
	// Done are the children that have finished, by name, with what the parent's annotation says.
	Done map[string]string
	// Hold says why nothing may be deleted; empty if it may.
	Hold string
	// Brake says why nothing may be deleted before somebody says so; empty if it may.
	Brake string
	// Damped are children with fields that are not to be set back at the moment.
	Damped map[ChildID]Damped
}

// Action is what is to be done with one object.
type Action string

// The actions.
const (
	// Create makes an object that does not exist.
	Create Action = "create"
	// Apply changes an object of ours.
	Apply Action = "apply"
	// HandOver leaves fields of an object of ours to others, with their values.
	HandOver Action = "handOver"
	// Recreate deletes an object of ours that cannot be changed, so that it is made anew.
	Recreate Action = "recreate"
	// Adopt makes an object ours that is not.
	Adopt Action = "adopt"
	// Delete deletes an object of ours.
	Delete Action = "delete"
	// Read reads an object whole, to know whether it has to be changed.
	Read Action = "read"
	// Refuse leaves an object alone that stands where a child should be, or says it is ours.
	Refuse Action = "refuse"
	// Wait leaves an object alone until something else has happened.
	Wait Action = "wait"
	// Retain leaves an object of ours that is not desired any more.
	Retain Action = "retain"
	// Skip leaves an object alone that is as it should be.
	Skip Action = "skip"
)

// Reason is why an action is to be taken.
type Reason string

// The reasons.
const (
	// ReasonAbsent: there is no such object.
	ReasonAbsent Reason = "Absent"
	// ReasonChanged: what is desired has changed.
	ReasonChanged Reason = "Changed"
	// ReasonDrift: another party has changed what is desired.
	ReasonDrift Reason = "Drift"
	// ReasonAdopted: the object was not ours, and the child may take it over.
	ReasonAdopted Reason = "Adopted"
	// ReasonCurrent: the object is as desired.
	ReasonCurrent Reason = "Current"
	// ReasonForeign: the object is not provably ours.
	ReasonForeign Reason = "Foreign"
	// ReasonOtherParent: the object is the child of another parent or definition.
	ReasonOtherParent Reason = "OtherParent"
	// ReasonDuplicate: another child of the same parent is the same object, or has the same name.
	ReasonDuplicate Reason = "Duplicate"
	// ReasonOrder: the order of the children cannot be kept.
	ReasonOrder Reason = "Order"
	// ReasonAfter: another child has to be ready before.
	ReasonAfter Reason = "After"
	// ReasonDeleting: the object is being deleted.
	ReasonDeleting Reason = "Deleting"
	// ReasonNotDesired: the object is not desired any more.
	ReasonNotDesired Reason = "NotDesired"
	// ReasonReplaced: the object that replaces it is not ready.
	ReasonReplaced Reason = "Replaced"
	// ReasonHeld: nothing may be deleted at the moment.
	ReasonHeld Reason = "Held"
	// ReasonPruneHeld: too many children would be deleted at once.
	ReasonPruneHeld Reason = "PruneHeld"
	// ReasonFight: another party changes the child again and again.
	ReasonFight Reason = "Fight"
	// ReasonProtected: objects of its kind are pruned by an explicit word alone.
	ReasonProtected Reason = "Protected"
	// ReasonInUse: the namespace has children that are kept.
	ReasonInUse Reason = "InUse"
	// ReasonReleased: what is desired has fields no more that are ours, and that are not to be
	// removed.
	ReasonReleased Reason = "Released"
	// ReasonDone: the object has finished, and is gone.
	ReasonDone Reason = "Done"
	// ReasonImmutable: the API server does not change the object to what is desired, and would make
	// a new one so.
	ReasonImmutable Reason = "Immutable"
	// ReasonOnDelete: the object is changed when somebody deletes it.
	ReasonOnDelete Reason = "OnDelete"
	// ReasonMoving: the child moves between two definitions, or may do so, and the other one has to
	// do something first.
	ReasonMoving Reason = "Moving"
	// ReasonMoved: another definition has made the child, and does not want it any more.
	ReasonMoved Reason = "Moved"
	// ReasonConflict: another field manager owns what the child sets.
	ReasonConflict Reason = "Conflict"
)

// Op is one action on one object.
type Op struct {
	// Action is what is to be done.
	Action Action
	// Reason is why.
	Reason Reason
	// Message says more for a person. It names no value of the object.
	Message string
	// ID names the object.
	ID ChildID
	// Desired is the child, nil when the object is not desired.
	Desired *Desired
	// Observed is the object, nil when there is none.
	Observed *Observed
	// Ready reports whether the child is as desired, and ready. NotReady says why it is not.
	Ready    bool
	NotReady string

	managers []string // whose fields become ours before
	adopted  bool     // the object was made by others
	drift    []drift  // what an Apply sets back
}

// Plan decides what is to be done for one parent: first the desired children in their order, then
// what is not desired. It is pure, and a plan that has been carried out leads to one with nothing
// to do.
func Plan(in Input) []Op {
	p := newPlanner(in)
	ops := make([]Op, 0, len(in.Desired)+len(in.Observed))
	for i := range in.Desired {
		ops = append(ops, p.desired(i))
	}
	for _, o := range in.Observed {
		if !p.wanted(o.ID) && o.marks.hasParent && o.marks.parentUID == in.Parent.UID && in.identity().has(o.marks.definition) &&
			o.marks.installation == in.Installation {
			ops = append(ops, p.undesired(o))
		}
	}
	keepNamespaces(ops)
	return ops
}

// planner is the state of one call of Plan.
type planner struct {
	Input
	at     map[ChildID]*Observed
	byID   map[ChildID]int // index of the first child that is this object
	byName map[string]int  // index of the first child of this name
	done   []*Op
	asked  []bool // being decided on, to find cycles
}

func newPlanner(in Input) *planner {
	p := &planner{
		Input: in, at: make(map[ChildID]*Observed, len(in.Observed)), byID: map[ChildID]int{}, byName: map[string]int{},
		done: make([]*Op, len(in.Desired)), asked: make([]bool, len(in.Desired)),
	}
	for _, o := range in.Observed {
		p.at[o.ID] = o
	}
	for i, d := range in.Desired {
		if _, ok := p.byID[d.ID]; !ok {
			p.byID[d.ID] = i
		}
		if _, ok := p.byName[d.Name]; !ok {
			p.byName[d.Name] = i
		}
	}
	return p
}

func (p *planner) wanted(id ChildID) bool {
	_, ok := p.byID[id]
	return ok
}

// desired decides on a child, once.
func (p *planner) desired(i int) Op {
	if p.done[i] == nil {
		p.asked[i] = true
		op := p.decide(i)
		op.ID, op.Desired = p.Desired[i].ID, p.Desired[i]
		p.done[i] = &op
	}
	return *p.done[i]
}

func (p *planner) decide(i int) Op {
	d := p.Desired[i]
	if first := p.byID[d.ID]; first != i {
		return refuse(ReasonDuplicate, fmt.Sprintf("child %s is the same object as child %s", d.Name, p.Desired[first].Name))
	}
	if first := p.byName[d.Name]; first != i {
		return refuse(ReasonDuplicate, fmt.Sprintf("child %s has the same name as that for %s", d.Name, p.Desired[first].ID))
	}
	if d.ID == p.Parent.id() {
		return refuse(ReasonForeign, fmt.Sprintf("%s is the parent itself, which cannot be its own child", d.ID))
	}
	if op, wait := p.after(d); wait {
		op.Observed = p.at[d.ID]
		return op
	}
	o := p.at[d.ID]
	if op, done := p.finished(d); done && o == nil {
		return op
	}
	if o == nil {
		return unmade(p, d)
	}
	op := handedOver(d, o, p.recreated(d, o, p.Damped[d.ID].hold(d, o, p.existing(d, o))))
	op.Observed, op.adopted = o, op.adopted || o.marks.adopted
	return op
}

func refuse(reason Reason, message string) Op {
	return Op{Action: Refuse, Reason: reason, Message: message, NotReady: message}
}

// after decides on a child by those that come before it. It returns false when they are ready.
func (p *planner) after(d *Desired) (Op, bool) {
	for _, name := range d.After {
		first, ok := p.byName[name]
		switch {
		case !ok:
			return refuse(ReasonOrder, fmt.Sprintf("it comes after child %s, which there is not", name)), true
		case p.asked[first] && p.done[first] == nil:
			return refuse(ReasonOrder, fmt.Sprintf("it comes after child %s, which comes after it", name)), true
		}
		if op := p.desired(first); !op.Ready {
			message := fmt.Sprintf("it waits for child %s", name)
			return Op{Action: Wait, Reason: ReasonAfter, Message: message, NotReady: message}, true
		}
	}
	return Op{}, false
}

// existing decides on a child of which there is an object.
func (p *planner) existing(d *Desired, o *Observed) Op {
	if reason, message := p.foreign(o); reason != "" {
		return p.stranger(d, o, refuse(reason, message))
	}
	if op, waits := outOfReach(p, o); waits {
		return op
	}
	if op, done := p.finished(d); done && o.Deleting {
		return op
	}
	if o.Deleting {
		message := "it is being deleted" + waitingFor(o.Finalizers)
		return Op{Action: Wait, Reason: ReasonDeleting, Message: message, NotReady: message}
	}
	if o.marks.applied != d.hash && d.Policy.Update == handlers.UpdateOnDelete {
		return p.outdated(d, o)
	}
	if fromDonor(p, o) {
		return Op{Action: Apply, Reason: ReasonMoved, NotReady: "it is being taken over"}
	}
	if o.marks.applied != d.hash {
		return Op{Action: Apply, Reason: ReasonChanged, NotReady: "it is being changed", drift: unmarked(d, o)}
	}
	if slices.Contains(p.Formerly, o.marks.definition) {
		return Op{Action: Apply, Reason: ReasonChanged, NotReady: "it is being changed"}
	}
	if o.applied == d.hash {
		return p.current(d, o)
	}
	return p.drifted(d, o)
}

// current is the op of a child that is left as it is.
func (p *planner) current(d *Desired, o *Observed) Op {
	ready, why := true, ""
	if o.Ready != nil {
		ready, why = o.Ready(d)
	}
	return Op{Action: Skip, Reason: ReasonCurrent, Ready: ready, NotReady: why}
}

// undesired decides on an object that carries the marks of the parent and is not desired.
func (p *planner) undesired(o *Observed) Op {
	op := Op{ID: o.ID, Observed: o}
	set := func(action Action, reason Reason, message string) Op {
		op.Action, op.Reason, op.Message = action, reason, message
		return op
	}
	switch {
	case !p.proven(o) || !ownsLabel(o, DefinitionLabel): // It may be that of another definition.
		return set(Refuse, ReasonForeign, notOurs(o))
	case o.Deleting:
		return set(Wait, ReasonDeleting, "it is being deleted"+waitingFor(o.Finalizers))
	case slices.Contains(protected, o.ID.Kind) && !o.marks.prune:
		return set(Retain, ReasonProtected, "objects of its kind are deleted only where that child says so")
	}
	if i := successor(p, o.marks.child); i >= 0 && !p.desired(i).Ready {
		return set(Wait, ReasonReplaced, fmt.Sprintf("%s, which replaces it, is not ready", p.Desired[i].ID))
	}
	if why := p.Claimed[o.ID]; why != "" {
		return set(Wait, ReasonMoving, why)
	}
	if p.Hold != "" {
		return set(Wait, ReasonHeld, p.Hold)
	}
	if p.Brake != "" {
		return set(Wait, ReasonPruneHeld, "it is not desired any more: "+p.Brake)
	}
	return set(Delete, ReasonNotDesired, "")
}

func waitingFor(finalizers []string) string {
	if len(finalizers) == 0 {
		return ""
	}
	return fmt.Sprintf(" and waits for finalizer %s", finalizers[0])
}
