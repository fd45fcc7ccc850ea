package compose

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// What becomes of what a definition has left behind.
const (
	// MakeOrphan takes the marks and the owner reference off an object of ours.
	MakeOrphan Action = "orphan"
	// Unfinalize removes our finalizer from an object that was handled.
	Unfinalize Action = "unfinalize"
	// ReasonRemoved means that the file does not want what the definition had to do with.
	ReasonRemoved Reason = "Removed"
)

// Leftover is an object that a definition has left behind, with what becomes of it.
type Leftover struct {
	// ID names the object, and Kind is its kind in the version that is read.
	ID   ChildID
	Kind schema.GroupVersionKind
	// Patched is true where it is no child, but an object to which the definition contributes.
	Patched bool
	// Child is its name within its parent, and Parent and ParentUID name that, as far as the marks
	// say it.
	Child, Parent string
	ParentUID     types.UID
	// Action is what becomes of it, and Reason and Message say why.
	Action  Action
	Reason  Reason
	Message string
}

// tell tells what becomes of a child.
func tell(r *Removal, o observedChild, action Action, reason Reason, message string) {
	if r.Tell != nil {
		r.Tell(Leftover{
			ID: o.ID, Kind: o.kind, Child: o.marks.child, Parent: o.marks.parent, ParentUID: o.marks.parentUID,
			Action: action, Reason: reason, Message: message,
		})
	}
}

// tellFinalizer tells that the finalizer is removed from a parent.
func tellFinalizer(r *Removal, kind schema.GroupVersionKind, parent handlers.Object) {
	if r.Tell != nil {
		id := ChildID{Kind: kind.GroupKind(), Namespace: parent.Namespace(), Name: parent.Name()}
		r.Tell(Leftover{ID: id, Kind: kind, Parent: parent.Namespace() + "/" + parent.Name(), ParentUID: parent.UID(), Action: Unfinalize, Reason: ReasonRemoved})
	}
}

// tellPatched tells what becomes of what the definition contributes to an object.
func tellPatched(r *Removal, id ChildID, kind schema.GroupVersionKind) {
	if r.Tell == nil {
		return
	}
	action := Retain
	switch r.Scope.OnRemove {
	case onRemoveOrphan:
		action = MakeOrphan
	case onRemoveDelete:
		action = Withdraw
	}
	r.Tell(Leftover{ID: id, Kind: kind, Patched: true, Action: action, Reason: ReasonRemoved})
}
