package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// RBAC is what a service account may do: in one namespace by a Role, or everywhere by a
// ClusterRole.
type RBAC struct {
	// Namespace is where the rules hold; empty means the whole cluster.
	Namespace string
	// Rules are the rules of the role.
	Rules []rbacv1.PolicyRule
}

// ClusterWide grants rules everywhere.
//
//nolint:revive // cluster.ClusterWide says what cluster.Wide would not
func ClusterWide(rules ...rbacv1.PolicyRule) RBAC { return RBAC{Rules: rules} }

// InNamespace grants rules in one namespace.
func InNamespace(namespace string, rules ...rbacv1.PolicyRule) RBAC {
	return RBAC{Namespace: namespace, Rules: rules}
}

// Allow is a rule for resources of one API group ("" is the core group). Verbs and resources are
// lists separated by commas, like "get,list,watch" and "pods,pods/status".
func Allow(verbs, group, resources string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: strings.Split(verbs, ","), APIGroups: []string{group}, Resources: strings.Split(resources, ","),
	}
}

// Grant gives a service account more rights until the test ends or revoke is called. It returns
// when they are in force; revoke returns when they are deleted, which the API server obeys a moment
// later.
func (c *Cluster) Grant(t testing.TB, namespace, account string, rights RBAC) (revoke func()) {
	t.Helper()
	name := fmt.Sprintf("%s-%s-%s", namespace, account, unique())
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}
	var err error
	if rights.Namespace == "" {
		err = c.bindClusterRole(t.Context(), name, subject, rights.Rules)
	} else {
		c.ensureNamespace(t, rights.Namespace)
		err = c.bindRole(t.Context(), name, subject, rights)
	}
	if err != nil {
		t.Fatalf("granting rights to %s/%s: %v", namespace, account, err)
	}
	revoke = func() { c.unbind(t, rights.Namespace, name) }
	t.Cleanup(revoke)
	for _, rule := range rights.Rules {
		c.awaitAllowed(t, subject, rights.Namespace, rule)
	}
	return revoke
}

func (c *Cluster) bindClusterRole(ctx context.Context, name string, subject rbacv1.Subject, rules []rbacv1.PolicyRule) error {
	meta := metav1.ObjectMeta{Name: name}
	client := c.Client().RbacV1()
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
	if _, err := client.ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a ClusterRole: %w", err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		Subjects:   []rbacv1.Subject{subject},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
	}
	if _, err := client.ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a ClusterRoleBinding: %w", err)
	}
	return nil
}

func (c *Cluster) bindRole(ctx context.Context, name string, subject rbacv1.Subject, rights RBAC) error {
	meta := metav1.ObjectMeta{Name: name}
	client := c.Client().RbacV1()
	role := &rbacv1.Role{ObjectMeta: meta, Rules: rights.Rules}
	if _, err := client.Roles(rights.Namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a Role: %w", err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta,
		Subjects:   []rbacv1.Subject{subject},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
	}
	if _, err := client.RoleBindings(rights.Namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a RoleBinding: %w", err)
	}
	return nil
}

// unbind deletes a role and its binding; both may be gone already, and so may the cluster.
func (c *Cluster) unbind(t testing.TB, namespace, name string) {
	t.Helper()
	if !c.responsive() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), requestTimeout)
	defer cancel()
	client, opts := c.Client().RbacV1(), metav1.DeleteOptions{}
	deletes := []func() error{
		func() error { return client.ClusterRoleBindings().Delete(ctx, name, opts) },
		func() error { return client.ClusterRoles().Delete(ctx, name, opts) },
	}
	if namespace != "" {
		deletes = []func() error{
			func() error { return client.RoleBindings(namespace).Delete(ctx, name, opts) },
			func() error { return client.Roles(namespace).Delete(ctx, name, opts) },
		}
	}
	for _, del := range deletes {
		if err := del(); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("revoking the rights %s: %v", name, err)
		}
	}
}

// awaitAllowed waits until the API server's own cache of roles has the rule.
func (c *Cluster) awaitAllowed(t testing.TB, subject rbacv1.Subject, namespace string, rule rbacv1.PolicyRule) {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: accessOf(subject, namespace, rule)}
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, requestTimeout, true,
		func(ctx context.Context) (bool, error) {
			answer, err := c.Client().AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil {
				return false, err
			}
			return answer.Status.Allowed, nil
		})
	if err != nil {
		t.Fatalf("waiting for a right of %s/%s to be in force: %v", subject.Namespace, subject.Name, err)
	}
}

// accessOf asks for the first thing that a rule allows.
func accessOf(subject rbacv1.Subject, namespace string, rule rbacv1.PolicyRule) authorizationv1.SubjectAccessReviewSpec {
	spec := authorizationv1.SubjectAccessReviewSpec{
		User:   fmt.Sprintf("system:serviceaccount:%s:%s", subject.Namespace, subject.Name),
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + subject.Namespace, "system:authenticated"},
	}
	verb := first(rule.Verbs)
	if len(rule.NonResourceURLs) > 0 {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: first(rule.NonResourceURLs), Verb: verb}
		return spec
	}
	resource, subresource, _ := strings.Cut(first(rule.Resources), "/")
	spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: verb, Group: first(rule.APIGroups),
		Resource: resource, Subresource: subresource, Name: first(rule.ResourceNames),
	}
	return spec
}

// first returns the first of values, or "".
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
