package compose

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Parent is the object that children are made for.
type Parent struct {
	// Kind is the parent's kind.
	Kind schema.GroupVersionKind
	// Namespace is empty for a cluster-scoped parent.
	Namespace string
	// Name is the parent's name.
	Name string
	// UID tells the parent from an earlier object of its name.
	UID types.UID
}

// id names the parent as a child is named, in whatever version.
func (p Parent) id() ChildID {
	return ChildID{Kind: p.Kind.GroupKind(), Namespace: p.Namespace, Name: p.Name}
}

// mayOwn reports whether the API allows an owner reference from an object in a namespace, "" for a
// cluster-scoped one, to the parent.
func (p Parent) mayOwn(namespace string) bool {
	return p.Namespace == "" || p.Namespace == namespace
}

// reference is the owner reference to the parent.
func (p Parent) reference(blockOwnerDeletion bool) map[string]any {
	return map[string]any{
		"apiVersion": p.Kind.GroupVersion().String(), "kind": p.Kind.Kind, "name": p.Name, "uid": string(p.UID),
		"controller": true, "blockOwnerDeletion": blockOwnerDeletion,
	}
}

// text is the parent as the annotation names it.
func (p Parent) text() string {
	if p.Namespace == "" {
		return p.Name
	}
	return p.Namespace + "/" + p.Name
}

// controllerIn returns the owner that is the controller, nil if none.
func controllerIn(references []metav1.OwnerReference) *metav1.OwnerReference {
	i := slices.IndexFunc(references, func(r metav1.OwnerReference) bool { return r.Controller != nil && *r.Controller })
	if i < 0 {
		return nil
	}
	return &references[i]
}

// controlledBy reports whether the owner of that UID is the controller of an object.
func (o *Observed) controlledBy(uid types.UID) bool {
	owner := controllerIn(o.references)
	return owner != nil && owner.UID == uid
}
