package compose

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// namespaceGroupKind is the kind of the objects that take others with them when they go.
var namespaceGroupKind = schema.GroupKind{Kind: "Namespace"}

// keepNamespaces keeps those namespaces in which a child is kept: one that is desired, that is not
// deleted now, or that is not provably ours.
func keepNamespaces(ops []Op) {
	kept := func(namespace string) bool {
		return slices.ContainsFunc(ops, func(op Op) bool {
			return op.ID.Namespace == namespace && (op.Desired != nil || op.Action == Retain || op.Action == Refuse ||
				op.Reason == ReasonReplaced || op.Reason == ReasonMoving)
		})
	}
	for i, op := range ops {
		if op.Action == Delete && op.ID.Kind == namespaceGroupKind && kept(op.ID.Name) {
			ops[i].Action, ops[i].Reason, ops[i].Message = Retain, ReasonInUse, "children that are kept are in it"
		}
	}
}

// inDeleteOrder are the indexes of ops, those of namespaces last: what cannot be deleted keeps the
// one that it is in.
func inDeleteOrder(ops []Op) []int {
	var order, namespaces []int
	for i, op := range ops {
		if op.ID.Kind == namespaceGroupKind {
			namespaces = append(namespaces, i)
		} else {
			order = append(order, i)
		}
	}
	return append(order, namespaces...)
}
