package access

import (
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

func splitResource(resource string) (name, subresource string) {
	name, subresource, _ = strings.Cut(resource, "/")
	return name, subresource
}

// RolesOptions of Grants.Roles.
type RolesOptions struct {
	// Name is that of every role and binding. Required.
	Name string
	// ServiceAccount is bound to the roles. Its zero value leaves bindings out.
	ServiceAccount types.NamespacedName
}

// Roles returns a ClusterRole and a Role for each namespace, as far as there are rules, each
// followed by its binding.
func (g Grants) Roles(opts RolesOptions) []runtime.Object {
	var objects []runtime.Object
	labels := map[string]string{"app.kubernetes.io/name": "kooperd"}
	bind := opts.ServiceAccount != types.NamespacedName{}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: opts.ServiceAccount.Namespace, Name: opts.ServiceAccount.Name}}
	if len(g.Cluster) > 0 {
		meta := metav1.ObjectMeta{Name: opts.Name, Labels: labels}
		objects = append(objects, &rbacv1.ClusterRole{TypeMeta: typeMeta("ClusterRole"), ObjectMeta: meta, Rules: g.Cluster})
		if bind {
			objects = append(objects, &rbacv1.ClusterRoleBinding{
				TypeMeta: typeMeta("ClusterRoleBinding"), ObjectMeta: meta, Subjects: subjects, RoleRef: roleRef("ClusterRole", opts.Name),
			})
		}
	}
	for _, namespace := range slices.Sorted(maps.Keys(g.Namespaces)) {
		meta := metav1.ObjectMeta{Name: opts.Name, Namespace: namespace, Labels: labels}
		objects = append(objects, &rbacv1.Role{TypeMeta: typeMeta("Role"), ObjectMeta: meta, Rules: g.Namespaces[namespace]})
		if bind {
			objects = append(objects, &rbacv1.RoleBinding{
				TypeMeta: typeMeta("RoleBinding"), ObjectMeta: meta, Subjects: subjects, RoleRef: roleRef("Role", opts.Name),
			})
		}
	}
	return objects
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
}

func roleRef(kind, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}
