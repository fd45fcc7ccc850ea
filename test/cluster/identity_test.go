package cluster

import (
	"context"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func clientFor(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestServiceAccountHasExactlyItsRights(t *testing.T) {
	home, other := shared.Namespace(t), shared.Namespace(t)
	client := clientFor(t, shared.ServiceAccount(t, home, "worker",
		InNamespace(home, Allow("get,list", "", "configmaps,pods/status")),
		ClusterWide(Allow("list", "", "nodes")),
	))
	ctx, opts := t.Context(), metav1.ListOptions{}
	for name, tc := range map[string]struct {
		err     error
		allowed bool
	}{
		"granted in the namespace":        {second(client.CoreV1().ConfigMaps(home).List(ctx, opts)), true},
		"granted in another namespace":    {second(client.CoreV1().ConfigMaps(other).List(ctx, opts)), false},
		"another resource":                {second(client.CoreV1().Secrets(home).List(ctx, opts)), false},
		"granted everywhere":              {second(client.CoreV1().Nodes().List(ctx, opts)), true},
		"the resource of the subresource": {second(client.CoreV1().Pods(home).List(ctx, opts)), false},
	} {
		if tc.allowed && tc.err != nil {
			t.Errorf("%s: %v, want it allowed", name, tc.err)
		}
		if !tc.allowed && !apierrors.IsForbidden(tc.err) {
			t.Errorf("%s: %v, want it forbidden", name, tc.err)
		}
	}
}

// second drops a result that does not matter.
func second[T any](_ T, err error) error { return err }

func TestServiceAccountKubeconfig(t *testing.T) {
	namespace := "made-on-demand-" + unique()
	path := shared.ServiceAccountKubeconfig(t, namespace, "worker", InNamespace(namespace, Allow("list", "", "configmaps")))
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: path}, &clientcmd.ConfigOverrides{})
	if got, _, err := loader.Namespace(); err != nil || got != namespace {
		t.Errorf("namespace of the context is %q, %v; want %q", got, err, namespace)
	}
	config, err := loader.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientFor(t, config).CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("using the kubeconfig: %v", err)
	}
}

func TestGrantAndRevoke(t *testing.T) {
	namespace := shared.Namespace(t)
	client := clientFor(t, shared.ServiceAccount(t, namespace, "worker"))
	list := func(ctx context.Context) error {
		return second(client.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{}))
	}
	if err := list(t.Context()); !apierrors.IsForbidden(err) {
		t.Fatalf("before the grant: %v, want it forbidden", err)
	}
	revoke := shared.Grant(t, namespace, "worker", InNamespace(namespace, Allow("list", "coordination.k8s.io", "leases")))
	if err := list(t.Context()); err != nil {
		t.Fatalf("after the grant: %v", err)
	}
	revoke()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, requestTimeout, true,
		func(ctx context.Context) (bool, error) { return apierrors.IsForbidden(list(ctx)), nil })
	if err != nil {
		t.Errorf("the right is still in force after it was revoked: %v", err)
	}
}

func TestRightsEndWithTheTest(t *testing.T) {
	namespace := shared.Namespace(t)
	t.Run("inner", func(t *testing.T) {
		shared.ServiceAccount(t, namespace, "worker",
			InNamespace(namespace, Allow("list", "", "pods")), ClusterWide(Allow("list", "", "nodes")))
	})
	bindings, err := shared.Client().RbacV1().RoleBindings(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(bindings.Items) > 0 {
		t.Errorf("%d RoleBindings are left", len(bindings.Items))
	}
	clusterBindings, err := shared.Client().RbacV1().ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, binding := range clusterBindings.Items {
		for _, subject := range binding.Subjects {
			if subject.Namespace == namespace {
				t.Errorf("ClusterRoleBinding %s is left", binding.Name)
			}
		}
	}
}

func TestPodServiceAccount(t *testing.T) {
	namespace := shared.Namespace(t)
	ctx := t.Context()
	client := clientFor(t, shared.PodServiceAccount(t, namespace, "worker", "worker-0"))
	self, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := self.Status.UserInfo.Extra["authentication.kubernetes.io/pod-name"]; len(got) != 1 || got[0] != "worker-0" {
		t.Errorf("pod of the token is %q, want worker-0", got)
	}

	unused := rest.AnonymousClientConfig(shared.AdminConfig())
	unused.BearerToken = shared.Token(t, namespace, "worker", TokenOptions{Pod: "worker-0"})
	if err := shared.Client().CoreV1().Pods(namespace).Delete(ctx, "worker-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// The API server may see the deletion some milliseconds late, and then it remembers its answer
	// for ten seconds.
	reviews := clientFor(t, unused).AuthenticationV1().SelfSubjectReviews()
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := reviews.Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return apierrors.IsUnauthorized(err), nil
	})
	if err != nil {
		t.Errorf("using the token of a deleted Pod: %v, want it unauthorized", err)
	}
}
