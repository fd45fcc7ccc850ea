package chart

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/test/cluster"
)

// grants are everything that the rendered roles allow.
func (m manifests) grants(t *testing.T) []cluster.Grant {
	t.Helper()
	var all []cluster.Grant
	for _, object := range slices.Concat(m.of("ClusterRole"), m.of("Role")) {
		var role rbacv1.Role
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			all = append(all, cluster.GrantsOf(object.GetNamespace(), rule)...)
		}
	}
	if len(all) == 0 {
		t.Fatal("the release has no rules")
	}
	return all
}
