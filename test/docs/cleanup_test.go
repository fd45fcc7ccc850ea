package docs_test

import (
	"context"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// ownNamespaces are there before any page is followed.
var ownNamespaces = []string{"default", "kube-node-lease", "kube-public", "kube-system"}

// cleanUp removes what a page has made in the cluster, so that the next one finds it as it expects
// it: new.
func cleanUp(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	namespaces := shared.Client().CoreV1().Namespaces()
	list, err := namespaces.List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, namespace := range list.Items {
		if slices.Contains(ownNamespaces, namespace.Name) {
			continue
		}
		if err := namespaces.Delete(ctx, namespace.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
	}
	must(t, wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		list, err := namespaces.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) <= len(ownNamespaces), err
	}))
	client := shared.Client()
	all := metav1.DeleteOptions{}
	named := metav1.ListOptions{FieldSelector: "metadata.name!=kube-root-ca.crt"}
	must(t, client.CoreV1().ConfigMaps("default").DeleteCollection(ctx, all, named))
	must(t, client.CoreV1().Pods("default").DeleteCollection(ctx, all, metav1.ListOptions{}))
	must(t, client.CoordinationV1().Leases("default").DeleteCollection(ctx, all, metav1.ListOptions{}))
	policies := client.AdmissionregistrationV1()
	must(t, policies.ValidatingAdmissionPolicyBindings().DeleteCollection(ctx, all, metav1.ListOptions{}))
	must(t, policies.ValidatingAdmissionPolicies().DeleteCollection(ctx, all, metav1.ListOptions{}))
}
