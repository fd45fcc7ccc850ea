package compose_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/compose/parts"
)

var agings = schema.GroupVersionResource{Group: "aging.kooperd.dev", Version: "v1", Resource: "agings"}

// serveAging makes the kind, with the old version served or not.
func serveAging(t *testing.T, old bool) {
	t.Helper()
	version := func(name string, served, storage bool) string {
		return fmt.Sprintf(`
  - name: %s
    served: %t
    storage: %t
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, additionalProperties: {type: string}}}}}`, name, served, storage)
	}
	shared.Apply(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: agings.aging.kooperd.dev}
spec:
  group: aging.kooperd.dev
  scope: Namespaced
  names: {kind: Aging, plural: agings, singular: aging}
  versions:`+version("v1beta1", old, false)+version("v1", true, true)+"\n")
}

// TestVersionWithdrawn has a child that was applied in a version which is not served any more: it
// converges, and is not written again.
func TestVersionWithdrawn(t *testing.T) {
	t.Parallel()
	serveAging(t, true)
	r := newRig(t)
	define := func(version string, spec map[string]any) {
		apiVersion := "aging.kooperd.dev/" + version
		r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
			Children: []parts.Child{{Name: "a", Object: map[string]any{
				"apiVersion": apiVersion, "kind": "Aging", "metadata": map[string]any{"name": "{name}-a"}, "spec": spec,
			}}},
			Owns: []parts.Owns{{APIVersion: apiVersion, Kind: "Aging"}},
		}}})
	}
	define("v1beta1", map[string]any{"text": "{text}", "old": "x"})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	p.Stop(t)
	serveAging(t, false)
	r.soon(t, "the version to go", func() bool {
		_, err := shared.Dynamic().Resource(agings.GroupResource().WithVersion("v1beta1")).Namespace(r.namespace).List(t.Context(), metav1.ListOptions{})
		return err != nil
	})
	define("v1", map[string]any{"text": "{text}", "new": "x"})
	p = r.start(t)
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	now := r.await(t, agings, "the change", func(o objects) bool {
		return o.text("p-a", "spec", "text") == "y" && o.text("p-a", "spec", "new") == "x"
	})
	if now.text("p-a", "spec", "old") != "" {
		t.Errorf("a field that is not wanted any more has stayed: %s", now.show())
	}
	r.ready(t, "p")
	p.settle(t, "p")
	mark := shared.AuditMark(t)
	p.settle(t, "p")
	p.kill9(t)
	p = r.start(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "in a version that is not the one it was made in")
}

// TestChildBeingDeleted has a child that somebody has deleted and that a finalizer holds: it is
// neither changed nor ready, and is made anew when it is gone.
func TestChildBeingDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	r.patch(t, configMaps, "p-a", `{"metadata": {"finalizers": ["example.com/wait"]}}`)
	r.remove(t, configMaps, "p-a")
	going := r.get(t, configMaps, "p-a")
	r.awaitCondition(t, "p", "p-a", "example.com/wait")
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	p.settle(t, "p")
	if now := r.get(t, configMaps, "p-a"); now.GetUID() != going.GetUID() || now.GetResourceVersion() != going.GetResourceVersion() {
		t.Errorf("it was changed while it was being deleted: %v", now.Object["data"])
	}
	if status, _, _ := conditionOf(r.get(t, things, "p"), "Ready"); status != "False" {
		t.Errorf("Ready is %s while the child is being deleted", status)
	}
	r.patch(t, configMaps, "p-a", `{"metadata": {"finalizers": null}}`)
	r.await(t, configMaps, "the next object", func(o objects) bool { return o.text("p-a", "data", "text") == "y" })
	r.ready(t, "p")
}
