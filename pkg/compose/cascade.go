package compose

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// keepsDependents reports whether a parent is being deleted so that what depends on it stays: its
// children are no concern of the deletion any more.
func keepsDependents(parent *metav1.ObjectMeta) bool {
	return parent.DeletionTimestamp != nil && slices.Contains(parent.Finalizers, metav1.FinalizerOrphanDependents)
}

// leaveUnmade makes no child for a parent that is about to go, and adopts none. Its composer has
// said so, or the garbage collector deletes the children while the parent is there: a composer that
// still wants them would have them made and deleted in turn. An object of another that stands where
// a child should be is then no trouble either.
func leaveUnmade(p *pass, ops []Op) {
	finalized := p.composition.Finalized && p.composed.DeletionTimestamp != nil
	foreground := p.meta.DeletionTimestamp != nil && slices.Contains(p.meta.Finalizers, metav1.FinalizerDeleteDependents)
	message := "it is not made again: the parent is being deleted in the foreground, with what depends on it"
	if finalized {
		message = "it is not made: the parent is being deleted, and may go"
	}
	for i, op := range ops {
		foreign := op.Action == Refuse && op.Desired != nil && op.Reason == ReasonForeign
		begins := op.Action == Create || op.Action == Adopt
		if finalized && (begins || foreign) || foreground && begins && p.parent.mayOwn(op.ID.Namespace) {
			ops[i].Action, ops[i].Reason, ops[i].Message = Wait, ReasonDeleting, message
			ops[i].Ready, ops[i].NotReady = false, message
		}
	}
}
