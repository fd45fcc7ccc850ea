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

// leaveToCollector leaves children alone that the garbage collector deletes while the parent is
// there: a composer that still wants them would have them made and deleted in turn.
func leaveToCollector(p *pass, ops []Op) {
	if p.meta.DeletionTimestamp == nil || !slices.Contains(p.meta.Finalizers, metav1.FinalizerDeleteDependents) {
		return
	}
	const message = "it is not made again: the parent is being deleted in the foreground, with what depends on it"
	for i, op := range ops {
		if op.Action == Create && p.parent.mayOwn(op.ID.Namespace) {
			ops[i].Action, ops[i].Reason, ops[i].Message = Wait, ReasonDeleting, message
			ops[i].Ready, ops[i].NotReady = false, message
		}
	}
}
