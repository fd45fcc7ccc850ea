package compose_test

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestPaused pauses a parent, changes it and its child, and lets it go on.
func TestPaused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"))
	p := r.start(t)
	for _, name := range []string{"p", "q"} {
		r.thing(t, name, "x")
		r.ready(t, name)
	}
	pause := func(value string) {
		t.Helper()
		r.patch(t, things, "p", fmt.Sprintf(`{"metadata": {"annotations": {"kooperd.dev/paused": %s}}}`, value))
	}
	pause(`"true"`)
	r.await(t, things, "the condition", func(o objects) bool {
		status, _, _ := o.condition("p", "Paused")
		return status == "True"
	})
	mark := shared.AuditMark(t)
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.patch(t, configMaps, "p-a", `{"data": {"text": "drift"}}`)
	p.settle(t, "q")
	p.settle(t, "q")
	r.noWrites(t, mark, "while the parent is paused")
	if value, _ := p.Metric(t, fmt.Sprintf("kooperd_compose_paused_parents{controller=%q}", definitionName)); value != "1" {
		t.Errorf("the metric of paused parents has %q", value)
	}
	pause("null")
	r.await(t, configMaps, "the change", func(o objects) bool { return o.text("p-a", "data", "text") == "y" })
	if now := r.ready(t, "p"); now != nil {
		if status, _, _ := conditionOf(now, "Paused"); status != "" {
			t.Errorf("after the pause, the condition is %s", status)
		}
	}
	pause(`"true"`)
	r.remove(t, things, "p")
	r.await(t, configMaps, "the child of the deleted parent to go", func(o objects) bool { return o["p-a"] == nil })
}

// TestTerminatingNamespace deletes a namespace with a parent, which a finalizer holds.
func TestTerminatingNamespace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"), configMap("b"), configMap("c"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	r.patch(t, things, "p", `{"metadata": {"finalizers": ["example.com/guard"]}}`)
	p.settle(t, "p")
	held := r.create(t, configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.com/guard"]}}`)
	mark := shared.AuditMark(t)
	if err := shared.Client().CoreV1().Namespaces().Delete(t.Context(), r.namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.await(t, configMaps, "the children to be deleted", func(o objects) bool {
		return o["p-a"] == nil && o["p-b"] == nil && o["p-c"] == nil && o["held"] != nil
	})
	r.await(t, things, "the parent to be deleted", func(o objects) bool { return o["p"] != nil && o["p"].GetDeletionTimestamp() != nil })
	tries := slices.DeleteFunc(r.writes(t, mark), func(s sent) bool { return s.resource != "configmaps" })
	if len(tries) > 3 {
		t.Errorf("in a namespace that is being deleted, there are %d tries: %v", len(tries), tries)
	}
	r.patch(t, configMaps, held.GetName(), `{"metadata": {"finalizers": null}}`)
	r.patch(t, things, "p", `{"metadata": {"finalizers": null}}`)
}
