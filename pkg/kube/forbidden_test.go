package kube

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

func TestForbiddenError(t *testing.T) {
	for want, forbidden := range map[string]*ForbiddenError{
		`forbidden to get and patch configmaps in namespace x; a Role of namespace x with this rule is missing: {apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"]}`: {
			Namespace: "x", Rule: rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "patch"}},
		},
		`forbidden to get, list and watch widgets a in all namespaces; a ClusterRole with this rule is missing: {apiGroups: ["b.c"], resources: ["widgets"], resourceNames: ["a"], verbs: ["get", "list", "watch"]}`: {
			Rule: rbacv1.PolicyRule{APIGroups: []string{"b.c"}, Resources: []string{"widgets"}, ResourceNames: []string{"a"}, Verbs: []string{"get", "list", "watch"}},
		},
		`forbidden to get /version of the API server; a ClusterRole with this rule is missing: {nonResourceURLs: ["/version"], verbs: ["get"]}`: {
			Rule: rbacv1.PolicyRule{NonResourceURLs: []string{"/version"}, Verbs: []string{"get"}},
		},
	} {
		if got := forbidden.Error(); got != want {
			t.Errorf("error:\n%s\nwant:\n%s", got, want)
		}
	}
}
