package compose

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// drifted decides on a child whose hash says that it was applied as it should be.
func (p *planner) drifted(d *Desired, o *Observed) Op {
	leaves := uncoveredLeaves(d.tree, o.Owned)
	referred := hasReferences(d.tree, o.references)
	if len(leaves) == 0 && referred {
		return p.current(d, o)
	}
	if !o.Whole && slices.ContainsFunc(leaves, func(u uncovered) bool { return !u.ofMetadata() && !isEmpty(u.want) }) {
		return unseen(d, leaves)
	}
	tree, err := o.Tree()
	if err != nil {
		return refuse(ReasonForeign, fmt.Sprintf("%s cannot be read: %v", o.ID, err))
	}
	leaves = slices.DeleteFunc(leaves, func(u uncovered) bool { return u.equalLive(tree) })
	if len(leaves) == 0 && referred {
		if o.Owned == nil { // Without our entry it could never be deleted, and no field of it removed.
			return Op{Action: Apply, Reason: ReasonDrift, Message: "metadata.managedFields", NotReady: "it is being set right", drift: driftsOf("managedFields")}
		}
		return p.current(d, o)
	}
	message, fields := describe(leaves), driftsIn(leaves)
	if !referred {
		message, fields = "metadata.ownerReferences", append(driftsOf("ownerReferences"), fields...)
	}
	op := p.current(d, o)
	switch d.Policy.Drift {
	case handlers.DriftReport:
		op.Reason, op.Message = ReasonDrift, fmt.Sprintf("another party has changed %s", message)
	case handlers.DriftIgnore:
	default:
		op = Op{Action: Apply, Reason: ReasonDrift, Message: message, NotReady: "it is being set right", drift: fields}
	}
	return op
}

// unseen decides on a child of which fields are not ours any more, and of which the metadata alone
// is known. To read it would mostly show that they have other values. Where they have not, to apply
// it makes them ours again, so that it is done once.
func unseen(d *Desired, leaves []uncovered) Op {
	if d.Policy.Drift == handlers.DriftReport || d.Policy.Drift == handlers.DriftIgnore {
		return Op{Action: Read, Reason: ReasonDrift, NotReady: "it has to be read"}
	}
	return Op{Action: Apply, Reason: ReasonDrift, Message: describe(leaves), NotReady: "it is being set right", drift: driftsIn(leaves)}
}

// hasReferences reports whether all owner references of a tree are there as they should be.
func hasReferences(tree map[string]any, live []metav1.OwnerReference) bool {
	metadata, _ := tree["metadata"].(map[string]any)
	wanted, _ := metadata["ownerReferences"].([]any)
	return !slices.ContainsFunc(wanted, func(want any) bool {
		reference, _ := want.(map[string]any)
		uid, _ := reference["uid"].(string)
		i := slices.IndexFunc(live, func(r metav1.OwnerReference) bool { return r.UID == types.UID(uid) })
		return i < 0 || !isReference(reference, live[i])
	})
}

// isReference reports whether a live owner reference is the one that is wanted.
func isReference(want map[string]any, live metav1.OwnerReference) bool {
	is := func(name string, value *bool) bool {
		wanted, _ := want[name].(bool)
		return wanted == (value != nil && *value)
	}
	return want["apiVersion"] == live.APIVersion && want["kind"] == live.Kind && want["name"] == live.Name &&
		is("controller", live.Controller) && is("blockOwnerDeletion", live.BlockOwnerDeletion)
}
