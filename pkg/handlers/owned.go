package handlers

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// OwnedKind is a kind of objects that a composer may make.
type OwnedKind struct {
	// APIVersion and Kind name the kind, for example "apps/v1" and "Deployment". Required.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// AnyNamespace says that children may be in other namespaces than their parent. It needs rights
	// in the whole cluster. The parents get a finalizer, because the garbage collector does not
	// delete across namespaces. It is implied where the parent is cluster-scoped, without the
	// finalizer.
	AnyNamespace bool `json:"anyNamespace,omitempty"`
	// MetadataOnly says that the composer, and the Ready of its children, read nothing of these
	// children but their metadata. That saves most of the memory. Such children are ready when they
	// exist, unless their Ready says something else.
	MetadataOnly bool `json:"metadataOnly,omitempty"`
	// BlockOwnerDeletion keeps a parent that is deleted in the foreground until these children are
	// gone. It needs the right to update the finalizers of the parent.
	BlockOwnerDeletion bool `json:"blockOwnerDeletion,omitempty"`
	// RoleNames are the names of the children, for Role and ClusterRole: kooperd needs the right to
	// escalate them, unless it holds itself what they grant. Empty stands for any name.
	RoleNames []string `json:"roleNames,omitempty"`
	// Binds are the roles that children refer to, for RoleBinding and ClusterRoleBinding: kooperd
	// needs the right to bind them. Empty stands for any role.
	Binds []RoleRef `json:"binds,omitempty"`
}

// RoleRef names a role that a binding refers to.
type RoleRef struct {
	// Kind is Role or ClusterRole.
	Kind string `json:"kind"`
	// Name is the role's name.
	Name string `json:"name"`
}

// GroupVersionKind is the kind.
func (k OwnedKind) GroupVersionKind() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(k.APIVersion, k.Kind)
}

func (k OwnedKind) check() error { return checkKindNames(k.APIVersion, k.Kind) }

func checkKindNames(apiVersion, kind string) error {
	gv, err := schema.ParseGroupVersion(apiVersion)
	switch {
	case err != nil:
		return err
	case gv.Version == "":
		return fmt.Errorf("kind %q: it has no apiVersion", kind)
	case kind == "":
		return fmt.Errorf("apiVersion %q: it has no kind", apiVersion)
	}
	return nil
}
