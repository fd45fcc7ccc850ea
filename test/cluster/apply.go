package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// fieldManager is who owns the fields that Apply sets.
const fieldManager = "kooperd-test-cluster"

// Apply creates or updates every object of a YAML text with one document each, by server-side apply
// that takes over fields of others, and returns them as the API server has stored them. An object
// of a namespaced kind that names no namespace goes to "default". After a CustomResourceDefinition
// it waits until its objects are served.
func (c *Cluster) Apply(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := parse(text)
	if err != nil {
		t.Fatalf("applying: %v", err)
	}
	var applied []*unstructured.Unstructured
	for _, object := range objects {
		stored, err := c.apply(t.Context(), object)
		if err != nil {
			t.Fatalf("applying %s %s: %v", object.GetKind(), object.GetName(), err)
		}
		applied = append(applied, stored)
	}
	return applied
}

// parse splits a YAML text into objects. Empty documents are skipped.
func parse(text string) ([]*unstructured.Unstructured, error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	var objects []*unstructured.Unstructured
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("splitting the documents: %w", err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, fmt.Errorf("parsing a document: %w", err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.GetAPIVersion() == "" || object.GetKind() == "" || object.GetName() == "" {
			return nil, fmt.Errorf("parsing a document: apiVersion, kind and metadata.name are required in %q", document)
		}
		objects = append(objects, object)
	}
}

func (c *Cluster) apply(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	client, err := c.resource(object)
	if err != nil {
		return nil, err
	}
	opts := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	stored, err := client.Apply(ctx, object.GetName(), object, opts)
	if err != nil {
		return nil, err
	}
	if stored.GroupVersionKind().GroupKind() == (schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}) {
		if err := c.awaitServed(ctx, client, stored); err != nil {
			return nil, err
		}
	}
	return stored, nil
}

// resource returns the client for the kind and namespace of object.
func (c *Cluster) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	groups, err := restmapper.GetAPIGroupResources(c.Client().Discovery())
	if err != nil {
		return nil, fmt.Errorf("asking which kinds are served: %w", err)
	}
	gvk := object.GroupVersionKind()
	mapping, err := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	client := c.Dynamic().Resource(mapping.Resource)
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return client, nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return client.Namespace(namespace), nil
}

// awaitServed waits until a definition is established and every served version of it answers: the
// API server says the former a moment before the latter.
func (c *Cluster) awaitServed(ctx context.Context, client dynamic.ResourceInterface, crd *unstructured.Unstructured) error {
	err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, requestTimeout, true, func(ctx context.Context) (bool, error) {
		current, err := client.Get(ctx, crd.GetName(), metav1.GetOptions{})
		if err != nil || !established(current) {
			return false, err
		}
		for _, resource := range served(current) {
			_, err := c.Dynamic().Resource(resource).List(ctx, metav1.ListOptions{Limit: 1})
			if apierrors.IsNotFound(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			if _, err := c.resource(instanceOf(current, resource)); err != nil {
				return false, nil //nolint:nilerr // discovery is a moment behind
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for its objects to be served: %w", err)
	}
	return nil
}

// established reports whether the names of a definition are accepted and it is in service.
func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, item := range conditions {
		condition, ok := item.(map[string]any)
		if ok && condition["type"] == "Established" {
			return condition["status"] == "True"
		}
	}
	return false
}

// served lists the resources of the served versions of a definition.
func served(crd *unstructured.Unstructured) []schema.GroupVersionResource {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	var resources []schema.GroupVersionResource
	for _, item := range versions {
		version, ok := item.(map[string]any)
		name, hasName := version["name"].(string)
		isServed, _ := version["served"].(bool)
		if ok && hasName && isServed {
			resources = append(resources, schema.GroupVersionResource{Group: group, Version: name, Resource: plural})
		}
	}
	return resources
}

// instanceOf returns an object of the kind that crd defines, to look it up in discovery.
func instanceOf(crd *unstructured.Unstructured, resource schema.GroupVersionResource) *unstructured.Unstructured {
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(resource.GroupVersion().WithKind(kind))
	return object
}
