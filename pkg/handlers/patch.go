package handlers

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Patch is what a parent contributes to one object that is not its child: fields, labels, or
// annotations. The object is made by somebody else, and is never created or deleted for a patch.
// What is contributed is removed when the composer ceases to want it, and when the parent goes.
// A value that another field manager has set is never overwritten: the parent is Degraded, and its
// condition names manager and field.
//
// Several parents, of several definitions, may patch one object. They may set the same field as
// long as they agree on its value.
type Patch struct {
	// Name is the patch's name within its parent. Empty stands for the kind and the object's name,
	// as in "ConfigMap/web".
	Name string
	// Object names the object, by apiVersion, kind, name and namespace, and has what is
	// contributed, and no more than that. Of the metadata, these are labels and annotations; there
	// is no status. It is a struct of Kubernetes itself, whose empty fields count as not set, or an
	// *unstructured.Unstructured, or another struct with apiVersion and kind filled in. Without a
	// namespace, it is in that of the parent. An item of a list has what identifies it, such as the
	// name of a container. A list that the API server takes as one value is contributed as a whole.
	Object runtime.Object
	// After names children of the same parent that have to be ready before this is contributed, or
	// changed. Default: none.
	After []string
}

// PatchesOf makes patches of objects, with the names that an empty Patch.Name stands for.
func PatchesOf(objects ...runtime.Object) []Patch {
	patches := make([]Patch, len(objects))
	for i, object := range objects {
		patches[i].Object = object
	}
	return patches
}

// PatchedKind is a kind of objects to which a composer may contribute.
type PatchedKind struct {
	// APIVersion and Kind name the kind, for example "apps/v1" and "Deployment". Required. Roles,
	// ClusterRoles and their bindings cannot be patched.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// AnyNamespace says that the objects may be in other namespaces than the parent. It needs
	// rights in the whole cluster. It is implied where the kind or the parent is cluster-scoped.
	AnyNamespace bool `json:"anyNamespace,omitempty"`
	// MetadataOnly says that patches have labels and annotations alone. That saves most of the
	// memory: what is patched is watched.
	MetadataOnly bool `json:"metadataOnly,omitempty"`
}

// GroupVersionKind is the kind.
func (k PatchedKind) GroupVersionKind() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(k.APIVersion, k.Kind)
}

func (k PatchedKind) check() error {
	if err := checkKindNames(k.APIVersion, k.Kind); err != nil {
		return err
	}
	grants := []string{"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
	if k.GroupVersionKind().Group == rbacv1.GroupName && slices.Contains(grants, k.Kind) {
		return fmt.Errorf("%s %s: roles and their bindings cannot be patched, as that grants rights; own one instead", k.APIVersion, k.Kind)
	}
	return nil
}
