package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// newGroup names an API group for one test.
func newGroup(t *testing.T) string { return shared.Namespace(t) + ".example.com" }

// removeDefinition deletes a CustomResourceDefinition and waits until it is gone.
func removeDefinition(t *testing.T, name string) {
	t.Helper()
	client := shared.Dynamic().Resource(definitions)
	watching, err := client.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatalf("watching %s: %v", name, err)
	}
	defer watching.Stop()
	if err := client.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting %s: %v", name, err)
	}
	deadline := time.After(patience)
	for {
		select {
		case e, ok := <-watching.ResultChan():
			if !ok || e.Type == "DELETED" {
				return
			}
		case <-deadline:
			t.Fatalf("%s does not go away", name)
		}
	}
}

// establish creates a CustomResourceDefinition and returns when the API server said that it is
// established.
func establish(t *testing.T, text, name string) time.Time {
	t.Helper()
	client := shared.Dynamic().Resource(definitions)
	watching, err := client.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatalf("watching %s: %v", name, err)
	}
	defer watching.Stop()
	established := make(chan time.Time, 1)
	go func() {
		for e := range watching.ResultChan() {
			if crd, ok := e.Object.(*unstructured.Unstructured); ok && isEstablished(crd) {
				established <- time.Now()
				return
			}
		}
	}()
	shared.Apply(t, text)
	t.Cleanup(func() { dropDefinition(t, name) })
	select {
	case at := <-established:
		return at
	case <-time.After(patience):
		t.Fatalf("%s is not established", name)
		return time.Time{}
	}
}

func dropDefinition(t *testing.T, name string) {
	t.Helper()
	err := shared.Dynamic().Resource(definitions).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Errorf("deleting %s: %v", name, err)
	}
}

func isEstablished(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(item any) bool {
		condition, ok := item.(map[string]any)
		return ok && condition["type"] == "Established" && condition["status"] == "True"
	})
}

func createObject(t *testing.T, kind schema.GroupVersionKind, namespace, name string) {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"size": int64(3)}}}
	object.SetGroupVersionKind(kind)
	object.SetName(name)
	resource := kind.GroupVersion().WithResource(strings.ToLower(kind.Kind) + "s")
	if _, err := shared.Dynamic().Resource(resource).Namespace(namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating %s %s: %v", kind.Kind, name, err)
	}
}

// A definition may be older than its kind. It begins within a second of the kind being there; of
// five tries the shortest has to show that, as the machine may be busy with other things, and the
// median that it is no accident.
func TestLateKindIsPickedUp(t *testing.T) {
	group := newGroup(t)
	c, _ := connect(t, shared.AdminConfig())
	var delays []time.Duration
	for i := range 5 {
		kind := schema.GroupVersionKind{Group: group, Version: "v1", Kind: fmt.Sprintf("Late%c", 'a'+i)}
		view := spectate(t, c, kube.Watch{Kind: kind})
		if _, reason := view.awaitState(t, status.Waiting); reason != fmt.Sprintf("the API server does not serve kind %s of %s/v1", kind.Kind, group) {
			t.Errorf("reason %q", reason)
		}
		established := establish(t, definition(group, kind.Kind, "Namespaced"), strings.ToLower(kind.Kind)+"s."+group)
		running, reason := view.awaitState(t, status.Running)
		if reason != "" {
			t.Errorf("Running with the reason %q", reason)
		}
		delays = append(delays, running.Sub(established))
		if diff := cmp.Diff([]string{"Waiting", "Syncing", "Running"}, lastStates(view.takeStates(), 3)); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	}
	slices.Sort(delays)
	t.Logf("from Established to Running: %v", delays)
	if delays[0] >= time.Second || delays[2] >= 3*time.Second {
		t.Errorf("the shortest is %s, want less than a second, and the median %s, want less than three", delays[0], delays[2])
	}
}

// The mapper of handlers finds a kind that is installed after its first use.
func TestMapperFindsLateKind(t *testing.T) {
	c, _ := connect(t, shared.AdminConfig())
	clients, err := c.Clients("late", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	group := newGroup(t)
	kind := schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Late"}
	if mapping, err := clients.Mapper.RESTMapping(schema.GroupKind{Kind: "ConfigMap"}); err != nil || mapping.Resource.Resource != "configmaps" {
		t.Fatalf("the mapping of ConfigMap is %v, %v", mapping, err)
	}
	if mapping, err := clients.Mapper.RESTMapping(kind.GroupKind()); !meta.IsNoMatchError(err) {
		t.Fatalf("the mapping of a kind that is not installed is %v, %v", mapping, err)
	}
	establish(t, definition(group, kind.Kind, "Namespaced"), "lates."+group)
	again, deadline := time.NewTicker(100*time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		mapping, err := clients.Mapper.RESTMapping(kind.GroupKind())
		if err == nil && mapping.Resource.Resource == "lates" && mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("the mapping of the kind is %v, %v", mapping, err)
		}
	}
}

func lastStates(states []string, n int) []string { return states[max(0, len(states)-n):] }

// With the kind its objects go, which is reported; with the kind they come back.
func TestKindIsRemovedAndComesBack(t *testing.T) {
	group := newGroup(t)
	ns := shared.Namespace(t)
	kind := schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Widget"}
	name := "widgets." + group
	text := definition(group, "Widget", "Namespaced")
	establish(t, text, name)
	createObject(t, kind, ns, "a")
	createObject(t, kind, ns, "b")
	c, registry := connect(t, shared.AdminConfig())
	view := spectate(t, c, kube.Watch{Kind: kind, Namespaces: []string{ns}})
	view.awaitState(t, status.Running)
	if got := len(view.Keys()); got != 2 {
		t.Fatalf("%d objects in the cache, want 2", got)
	}

	removeDefinition(t, name)
	view.awaitState(t, status.Waiting)
	view.await(t, "an empty cache", func() bool { return len(view.Keys()) == 0 })
	events := slices.DeleteFunc(view.takeEvents(), func(e string) bool { return !strings.HasPrefix(e, "deleted") })
	slices.Sort(events)
	if diff := cmp.Diff([]string{"deleted " + ns + "/a", "deleted " + ns + "/b"}, events); diff != "" {
		t.Errorf("deletions (-want +got):\n%s", diff)
	}

	establish(t, text, name)
	view.awaitState(t, status.Running)
	createObject(t, kind, ns, "a")
	view.awaitEvent(t, "changed "+ns+"/a")
	if obj, ok := view.Get(ns, "a"); !ok || obj.GroupVersionKind() != kind {
		t.Errorf("the new object: %v, %t", obj, ok)
	}
	if n, _ := metric(t, registry, "kooperd_source_cached_objects"); n != 1 {
		t.Errorf("%v objects are said to be cached, want 1", n)
	}
}

func TestClusterScopedKind(t *testing.T) {
	kind := corev1.SchemeGroupVersion.WithKind("Namespace")
	c, _ := connect(t, shared.AdminConfig())
	view := spectate(t, c, kube.Watch{Kind: kind})
	wrong := spectate(t, c, kube.Watch{Kind: kind, Namespaces: []string{"default"}})
	view.awaitState(t, status.Running)
	ns := shared.Namespace(t)
	view.awaitEvent(t, "changed "+ns)
	if obj, ok := view.Get("", ns); !ok || obj.Namespace() != "" || obj.Name() != ns {
		t.Errorf("the new namespace: %v, %t", obj, ok)
	}
	if _, reason := wrong.awaitState(t, status.Degraded); reason != "kind Namespace is cluster-scoped: remove watch.namespaces" {
		t.Errorf("reason %q", reason)
	}
}

// transfers keeps the encodings in which resources came.
type transfers struct {
	next http.RoundTripper

	mu    sync.Mutex
	types map[string]string // by the last element of the path
}

func (tr *transfers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := tr.next.RoundTrip(req)
	if err == nil && req.URL.Query().Get("watch") == "true" {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.types[req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]] = resp.Header.Get("Content-Type")
	}
	return resp, err
}

func (tr *transfers) WrappedRoundTripper() http.RoundTripper { return tr.next }

// overhear connects to the API server and keeps in which encodings watches are answered.
func overhear(t *testing.T) (*kube.Cluster, *transfers) {
	t.Helper()
	config := shared.AdminConfig()
	seen := &transfers{types: map[string]string{}}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		seen.next = next
		return seen
	})
	c, _ := connect(t, config)
	return c, seen
}

func (tr *transfers) expect(t *testing.T, want map[string]string) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if diff := cmp.Diff(want, tr.types); diff != "" {
		t.Errorf("content types (-want +got):\n%s", diff)
	}
}

// Built-in kinds come as protobuf, all others as JSON; of both the cache has the whole object but
// for managedFields.
func TestEncodings(t *testing.T) {
	group, ns := newGroup(t), shared.Namespace(t)
	custom := schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Gadget"}
	establish(t, definition(group, "Gadget", "Namespaced"), "gadgets."+group)
	createObject(t, custom, ns, "a")
	createConfigMap(t, shared, ns, "a", "web")

	c, seen := overhear(t)
	for _, kind := range []schema.GroupVersionKind{custom, configMapKind} {
		view := spectate(t, c, kube.Watch{Kind: kind, Namespaces: []string{ns}})
		view.awaitState(t, status.Running)
		obj, ok := view.Get(ns, "a")
		if !ok || obj.GroupVersionKind() != kind || obj.UID() == "" || obj.ResourceVersion() == "" {
			t.Fatalf("%s: object %v, %t", kind.Kind, obj, ok)
		}
		var whole unstructured.Unstructured
		if err := obj.Into(&whole); err != nil {
			t.Fatal(err)
		}
		if whole.GetKind() != kind.Kind || whole.GetManagedFields() != nil {
			t.Errorf("%s: kind %s, managedFields %v", kind.Kind, whole.GetKind(), whole.GetManagedFields())
		}
		size, _, _ := unstructured.NestedInt64(whole.Object, "spec", "size")
		value, _, _ := unstructured.NestedString(whole.Object, "data", "key")
		if (kind == custom && size != 3) || (kind == configMapKind && value != "value") {
			t.Errorf("%s: content %v", kind.Kind, whole.Object)
		}
		view.close()
	}
	var typed corev1.ConfigMap
	view := spectate(t, c, kube.Watch{Kind: configMapKind, Namespaces: []string{ns}})
	view.awaitState(t, status.Running)
	if obj, ok := view.Get(ns, "a"); !ok || obj.Into(&typed) != nil || typed.Data["key"] != "value" {
		t.Errorf("as a struct: %v", typed)
	}
	seen.expect(t, map[string]string{"configmaps": "application/vnd.kubernetes.protobuf;stream=watch", "gadgets": "application/json"})
}

// A watch of metadata gets no more than that, of any kind, as protobuf, and follows what happens.
func TestMetadataOnly(t *testing.T) {
	group, ns := newGroup(t), shared.Namespace(t)
	custom := schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Gizmo"}
	establish(t, definition(group, "Gizmo", "Namespaced"), "gizmos."+group)
	createObject(t, custom, ns, "a")
	createConfigMap(t, shared, ns, "a", "web")
	c, seen := overhear(t)
	for _, kind := range []schema.GroupVersionKind{custom, configMapKind} {
		view := spectate(t, c, kube.Watch{Kind: kind, Namespaces: []string{ns}, MetadataOnly: true})
		view.awaitState(t, status.Running)
		obj, ok := view.Get(ns, "a")
		if !ok || obj.UID() == "" || obj.Metadata().CreationTimestamp.IsZero() {
			t.Fatalf("%s: object %v, %t", kind.Kind, obj, ok)
		}
		text, err := obj.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"apiVersion", "kind", "metadata"}, slices.Sorted(maps.Keys(fields))); diff != "" || fields["kind"] != kind.Kind {
			t.Errorf("%s: %s (-want +got):\n%s", kind.Kind, text, diff)
		}
		if kind == custom {
			createObject(t, kind, ns, "b")
		} else {
			createConfigMap(t, shared, ns, "b", "web")
		}
		view.awaitEvent(t, "changed "+ns+"/b")
		view.close()
	}
	const protobuf = "application/vnd.kubernetes.protobuf;stream=watch"
	seen.expect(t, map[string]string{"configmaps": protobuf, "gizmos": protobuf})
}
