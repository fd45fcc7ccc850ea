package compose_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// realms is a kind without namespaces.
var realms = schema.GroupVersionResource{Group: "demo.kooperd.dev", Version: "v1", Resource: "realms"}

const realmsDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: realms.demo.kooperd.dev}
spec:
  group: demo.kooperd.dev
  scope: Cluster
  names: {kind: Realm, plural: realms, singular: realm}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {text: {type: string}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

// hookCell is one way in which a definition calls hooks.
type hookCell struct {
	name, shape, version string
	namespaced           bool
}

// cells are all ways.
func cells() (all []hookCell) {
	for _, shape := range []string{"composite", "decorator"} {
		for _, version := range []string{"v1", "v2"} {
			for _, namespaced := range []bool{true, false} {
				scope := "cluster"
				if namespaced {
					scope = "namespaced"
				}
				all = append(all, hookCell{
					name: fmt.Sprintf("%s-%s-%s", shape, version, scope), shape: shape, version: version, namespaced: namespaced,
				})
			}
		}
	}
	return all
}

// definition has all three hooks.
func (c hookCell) definition(r *rig, s *hookService) definition {
	d := s.hooked(r, c.name, map[string]any{
		"shape": c.shape, "version": c.version, "finalize": s.endpoint(c.name, "finalize"), "customize": s.endpoint(c.name, "customize"),
		"reads": []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "namespace": r.namespace}},
	})
	if !c.namespaced {
		d.settings["watch"] = map[string]any{
			"apiVersion": realms.GroupVersion().String(), "kind": "Realm", "labelSelector": hookLabel + "=" + c.name + ",rig=" + r.namespace,
		}
	}
	return d
}

// parents is where the parents are, and what the one of the cell is called.
func (c hookCell) parents(r *rig) (client dynamic.ResourceInterface, name string) {
	if c.namespaced {
		return shared.Dynamic().Resource(things).Namespace(r.namespace), c.name
	}
	return shared.Dynamic().Resource(realms), r.namespace + "-" + c.name
}

// key is by what a hook finds an object of the namespace of the rig.
func (c hookCell) key(r *rig, name string) string {
	if c.version == "v1" && c.namespaced {
		return name
	}
	return r.namespace + "/" + name
}

// answers are the hooks of the cell. They read a ConfigMap, and make one of it.
func (c hookCell) answers(r *rig, s *hookService) hookAnswer {
	fields, children := []string{"children", "controller", "finalizing", "parent", "related"}, "children"
	if c.shape == "decorator" {
		fields, children = []string{"attachments", "controller", "finalizing", "object", "related"}, "attachments"
	}
	return func(_ http.ResponseWriter, _ *http.Request, call hookCall) any {
		have := slices.Sorted(maps.Keys(call.request))
		if call.hook == "customize" {
			if want := []string{"controller", "parent"}; !slices.Equal(have, want) {
				s.mistakef("%s: a request of customize has %v, want %v", c.name, have, want)
			}
			return map[string]any{"relatedResources": []any{map[string]any{
				"apiVersion": "v1", "resource": "configmaps", "namespace": r.namespace, "names": []any{"source"},
			}}}
		}
		if !slices.Equal(have, fields) {
			s.mistakef("%s: a request of %s has %v, want %v", c.name, call.hook, have, fields)
		}
		own, parent := call.group(children, "ConfigMap.v1"), call.parent()
		for key := range own {
			if want := c.key(r, parent.GetName()+"-page"); key != want {
				s.mistakef("%s: a child has the key %s, want %s", c.name, key, want)
			}
		}
		if finalizing, _ := call.request["finalizing"].(bool); finalizing != (call.hook == "finalize") {
			s.mistakef("%s: %s is called with finalizing: %t", c.name, call.hook, finalizing)
		}
		if call.hook == "finalize" {
			return map[string]any{children: []any{}, "finalized": len(own) == 0}
		}
		source, _ := call.group("related", "ConfigMap.v1")[c.key(r, "source")].(map[string]any)
		text, _, _ := unstructured.NestedString(source, "data", "text")
		answer := map[string]any{
			children: []any{configMapFor(parent, r.namespace, text)}, "status": map[string]any{"text": text},
		}
		if c.shape == "decorator" {
			answer["labels"], answer["annotations"] = map[string]any{"decorated": "yes", "gone": nil}, map[string]any{"example.com/text": text}
		}
		return answer
	}
}

var declareRealms sync.Once

// TestWebhook calls all three hooks in all ways, in one process with the rights that it prints.
// They make a child of what they read, follow a change of that, and let the parent go when its
// child is gone.
func TestWebhook(t *testing.T) {
	t.Parallel()
	declareRealms.Do(func() { shared.Apply(t, realmsDefinition) })
	r, s := newBoundRig(t), newHookService(t)
	definitions := map[string]definition{}
	for _, c := range cells() {
		s.answer(c.name, c.answers(r, s))
		definitions[c.name] = c.definition(r, s)
	}
	r.defineAll(t, definitions)
	r.grant(t, r.printed(t)...)
	r.create(t, configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "source"}, "data": {"text": "one"}}`)
	for _, c := range cells() {
		c.create(t, r)
	}
	r.start(t)
	for _, text := range []string{"one", "two"} {
		r.patch(t, configMaps, "source", fmt.Sprintf(`{"data": {"text": %q}}`, text))
		for _, c := range cells() {
			_, name := c.parents(r)
			r.page(t, name, text)
			c.await(t, r, "its status and marks", func(parent *unstructured.Unstructured) bool { return c.shows(parent, text) })
		}
	}
	for _, c := range cells() {
		client, name := c.parents(r)
		if err := client.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range cells() {
		_, name := c.parents(r)
		c.await(t, r, "its end", func(parent *unstructured.Unstructured) bool { return parent == nil })
		if r.list(t, configMaps)[name+"-page"] != nil {
			t.Errorf("%s: the child has outlived its parent", c.name)
		}
		if s.called(c.name, "finalize", name) == 0 {
			t.Errorf("%s: finalize was not called", c.name)
		}
	}
	r.nothingRefused(t)
}

// create makes the parent of the cell.
func (c hookCell) create(t *testing.T, r *rig) {
	t.Helper()
	client, name := c.parents(r)
	kind := "Thing"
	if !c.namespaced {
		kind = "Realm"
	}
	parent := &unstructured.Unstructured{Object: object(t, fmt.Sprintf(`{"apiVersion": "demo.kooperd.dev/v1", "kind": %q,
		"metadata": {"name": %q, "labels": {%q: %q, "rig": %q, "gone": "no"}}, "spec": {"text": "x"}}`, kind, name, hookLabel, c.name, r.namespace))}
	if _, err := client.Create(t.Context(), parent, metav1.CreateOptions{FieldManager: other}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // No process removes the finalizer when the test has failed.
		_, err := client.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata": {"finalizers": null}}`), metav1.PatchOptions{})
		if err == nil {
			_ = client.Delete(t.Context(), name, metav1.DeleteOptions{})
		}
	})
}

// await waits until the parent of the cell is as wanted; nil stands for none.
func (c hookCell) await(t *testing.T, r *rig, what string, done func(*unstructured.Unstructured) bool) {
	t.Helper()
	_, name := c.parents(r)
	at := place{things, r.namespace}
	if !c.namespaced {
		at = place{realms, ""}
	}
	awaitAt(t, at, fmt.Sprintf("%s of %s", what, c.name), func(o objects) bool { return done(o[name]) })
}

// shows reports whether a parent has what its hooks say of it.
func (c hookCell) shows(parent *unstructured.Unstructured, text string) bool {
	if parent == nil || !isReady(parent) {
		return false
	}
	status, _, _ := unstructured.NestedString(parent.Object, "status", "text")
	labels, annotation := parent.GetLabels(), parent.GetAnnotations()["example.com/text"]
	if c.shape == "decorator" {
		return status == text && labels["decorated"] == "yes" && labels["gone"] == "" && annotation == text
	}
	return status == text && labels["decorated"] == "" && labels["gone"] == "no" && annotation == ""
}

// TestWebhookTakesOver takes a child over that metacontroller has made: it stays the same object,
// and what the hook does not set goes.
func TestWebhookTakesOver(t *testing.T) {
	t.Parallel()
	r, s := newRig(t), newHookService(t)
	s.answer("pages", works)
	r.defineAll(t, map[string]definition{"pages": s.hooked(r, "pages", map[string]any{"children": []any{map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "adoptFrom": []any{"metacontroller"},
	}}})})
	r.hookParent(t, "pages", "p", "x")
	before := r.createBy(t, "metacontroller", configMaps, fmt.Sprintf(`{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": {"name": "p-page", "ownerReferences": [{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "name": "p", "uid": %q,
			"controller": true, "blockOwnerDeletion": true}]},
		"data": {"text": "old", "more": "old"}}`, r.get(t, things, "p").GetUID()))
	r.start(t)
	r.page(t, "p", "x")
	r.ready(t, "p")
	after := r.get(t, configMaps, "p-page")
	data, _, _ := unstructured.NestedStringMap(after.Object, "data")
	if after.GetUID() != before.GetUID() || len(data) != 1 {
		t.Errorf("the object was %s, and is %s with %v", before.GetUID(), after.GetUID(), data)
	}
}
