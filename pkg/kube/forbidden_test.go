package kube

import (
	"errors"
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestLacksRight has answers of API servers. With real ones, test/chart has alerts that depend on
// the first and on one of a policy.
func TestLacksRight(t *testing.T) {
	secrets := schema.GroupResource{Resource: "secrets"}
	for text, want := range map[string]bool{
		`User "system:serviceaccount:x:kooperd" cannot patch resource "secrets" in API group "" in the namespace "x"`: true,
		`User "a \"b\"" cannot get path "/version"`:                                                                                   true,
		`user "kooperd" (groups=["a"]) is attempting to grant RBAC permissions not currently held:`:                                   true,
		`cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: no RBAC policy matched`: true,
		`ValidatingAdmissionPolicy 'no-secrets' with binding 'no-secrets' denied request: you cannot have Secrets here`:               false,
		`exceeded quota: small, requested: secrets=1, used: secrets=1, limited: secrets=1`:                                            false,
	} {
		err := apierrors.NewForbidden(secrets, "x", errors.New(text))
		if have := LacksRight(fmt.Errorf("applying: %w", err)); have != want {
			t.Errorf("%s: that a right is missing is %t, want %t", text, have, want)
		}
		if LacksRight(errors.New(err.Error())) {
			t.Errorf("%s is no answer of an API server, and is taken for one", text)
		}
	}
}

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
