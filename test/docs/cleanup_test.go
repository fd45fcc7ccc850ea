package docs_test

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/test/cluster"
)

// ownNamespaces are there before any page is followed.
var ownNamespaces = []string{"default", "kube-node-lease", "kube-public", "kube-system"}

// What else is there: in the namespace "default", whatever has one of these names, and the roles of
// the API server.
const (
	ownObjects  = "metadata.name!=kubernetes,metadata.name!=default,metadata.name!=kube-root-ca.crt"
	notOwnRoles = "kubernetes.io/bootstrapping!=rbac-defaults"
)

// cleanUp removes what a page has made in the cluster, so that the next one finds it as it expects
// it: new.
func cleanUp(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	list, err := c.Client().CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	must(t, err)
	for i := range list.Items {
		if !slices.Contains(ownNamespaces, list.Items[i].Name) {
			removeNamespace(ctx, t, c, &list.Items[i])
		}
	}
	removeCustomKinds(ctx, t, c)
	resources := deletable(t, c)
	must(t, wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		return emptied(ctx, c, "default", resources, metav1.ListOptions{FieldSelector: ownObjects})
	}))
	client, all := c.Client(), metav1.DeleteOptions{}
	must(t, client.CoreV1().Nodes().DeleteCollection(ctx, all, metav1.ListOptions{}))
	must(t, client.RbacV1().ClusterRoleBindings().DeleteCollection(ctx, all, metav1.ListOptions{LabelSelector: notOwnRoles}))
	must(t, client.RbacV1().ClusterRoles().DeleteCollection(ctx, all, metav1.ListOptions{LabelSelector: notOwnRoles}))
	policies := client.AdmissionregistrationV1()
	must(t, policies.ValidatingAdmissionPolicyBindings().DeleteCollection(ctx, all, metav1.ListOptions{}))
	must(t, policies.ValidatingAdmissionPolicies().DeleteCollection(ctx, all, metav1.ListOptions{}))
}

// removeNamespace does what the namespace controller would begin five seconds later, for other API
// servers than this one.
func removeNamespace(ctx context.Context, t testing.TB, c *cluster.Cluster, namespace *corev1.Namespace) {
	t.Helper()
	namespaces := c.Client().CoreV1().Namespaces()
	err := namespaces.Delete(ctx, namespace.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		t.Fatal(err)
	}
	resources := deletable(t, c)
	must(t, wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		return emptied(ctx, c, namespace.Name, resources, metav1.ListOptions{})
	}))
	namespace.Spec.Finalizers = nil
	namespace.ResourceVersion = ""
	if _, err := namespaces.Finalize(ctx, namespace, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

// deletable are the resources in namespaces whose objects can be listed and deleted all at once,
// but for Endpoints, of which the API server warns and a devcluster has none.
func deletable(t testing.TB, c *cluster.Cluster) []schema.GroupVersionResource {
	t.Helper()
	lists, err := c.Client().Discovery().ServerPreferredResources()
	must(t, err)
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "deletecollection"}}, lists)
	var all []schema.GroupVersionResource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		must(t, err)
		for i := range list.APIResources {
			if list.APIResources[i].Namespaced && list.APIResources[i].Kind != "Endpoints" {
				all = append(all, gv.WithResource(list.APIResources[i].Name))
			}
		}
	}
	return all
}

// emptied deletes what options select in a namespace, and reports whether there was nothing any
// more.
func emptied(ctx context.Context, c *cluster.Cluster, namespace string, resources []schema.GroupVersionResource, options metav1.ListOptions) (bool, error) {
	now := int64(0)
	empty := true
	for _, resource := range resources {
		client := c.Dynamic().Resource(resource).Namespace(namespace)
		list, err := client.List(ctx, options)
		if apierrors.IsNotFound(err) { // The kind has gone since it was found.
			continue
		}
		if err != nil {
			return false, err
		}
		if len(list.Items) == 0 {
			continue
		}
		empty = false
		if err := withoutFinalizers(ctx, client, list.Items); err != nil {
			return false, err
		}
		if err := client.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, options); err != nil {
			return false, err
		}
	}
	return empty, nil
}

var customResourceDefinitions = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// removeCustomKinds removes the kinds that a page has added, with all their objects: to kubectl,
// "website" is a kind of whichever page was the first to have one.
func removeCustomKinds(ctx context.Context, t testing.TB, c *cluster.Cluster) {
	t.Helper()
	definitions := c.Dynamic().Resource(customResourceDefinitions)
	must(t, wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		list, err := definitions.List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for i := range list.Items {
			if err := removeCustomKind(ctx, c, &list.Items[i]); err != nil {
				return false, err
			}
		}
		return len(list.Items) == 0, nil
	}))
}

// removeCustomKind asks for a kind and its objects to be deleted.
func removeCustomKind(ctx context.Context, c *cluster.Cluster, definition *unstructured.Unstructured) error {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "plural")
	stored, _, _ := unstructured.NestedStringSlice(definition.Object, "status", "storedVersions")
	for _, version := range stored {
		objects := c.Dynamic().Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: plural})
		list, err := objects.List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) { // It is not served, or gone by now.
			continue
		}
		if err != nil {
			return err
		}
		for i := range list.Items {
			if err := withoutFinalizers(ctx, objects.Namespace(list.Items[i].GetNamespace()), list.Items[i:i+1]); err != nil {
				return err
			}
		}
	}
	err := c.Dynamic().Resource(customResourceDefinitions).Delete(ctx, definition.GetName(), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return nil
}

// withoutFinalizers lets objects go that wait for a kooperd that has been stopped.
func withoutFinalizers(ctx context.Context, client dynamic.ResourceInterface, objects []unstructured.Unstructured) error {
	for i := range objects {
		if len(objects[i].GetFinalizers()) == 0 {
			continue
		}
		_, err := client.Patch(ctx, objects[i].GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
