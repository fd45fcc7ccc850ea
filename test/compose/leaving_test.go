package compose_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/compose/parts"
)

// selecting is a definition for the parents with a label, with a child beside each and one in
// another namespace.
func (r *rig) selecting(label, other string, children ...parts.Child) definition {
	return definition{
		Config: parts.Config{
			Owns:     []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}},
			Children: append([]parts.Child{configMap("a"), elsewhere(other, "b")}, children...),
		},
		settings: map[string]any{"watch": map[string]any{
			"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "namespaces": []string{r.namespace}, "labelSelector": label,
		}},
	}
}

// selected makes a parent with the label.
func (r *rig) selected(t *testing.T, name string) {
	t.Helper()
	r.thing(t, name, "x")
	r.patch(t, things, name, `{"metadata": {"labels": {"selected": ""}}}`)
	r.ready(t, name)
}

// TestParentLeavesSelector takes parents out of the selector, while a process runs and while none
// does: their children go, and their finalizers. Those of others stay.
func TestParentLeavesSelector(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := &rig{namespace: shared.Namespace(t)}
	r.defineAll(t, map[string]definition{definitionName: r.selecting("selected", other.namespace)})
	p := r.start(t)
	for _, name := range []string{"p", "q", "late", "orphaned"} {
		r.selected(t, name)
	}
	gone := func(name string) {
		t.Helper()
		r.await(t, configMaps, "the child of "+name+" to go", func(o objects) bool { return o[name+"-a"] == nil })
		other.await(t, configMaps, "the child of "+name+" elsewhere to go", func(o objects) bool { return o[name+"-b"] == nil })
		r.await(t, things, "the finalizer of "+name+" to go", func(o objects) bool { return o[name] != nil && len(o[name].GetFinalizers()) == 0 })
	}
	leave := func(name string) {
		t.Helper()
		r.patch(t, things, name, `{"metadata": {"labels": {"selected": null}}}`)
	}
	leave("p")
	gone("p")

	// One that comes back is right again.
	r.patch(t, things, "p", `{"metadata": {"labels": {"selected": ""}}}`)
	r.await(t, configMaps, "the child to be made again", func(o objects) bool { return o["p-a"] != nil })

	// What depends on a deleted parent is the garbage collector's, also if it is to be kept.
	orphan := metav1.DeletePropagationOrphan
	err := shared.Dynamic().Resource(things).Namespace(r.namespace).Delete(t.Context(), "orphaned", metav1.DeleteOptions{PropagationPolicy: &orphan})
	if err != nil {
		t.Fatal(err)
	}
	r.await(t, things, "the parent to go", func(o objects) bool { return o["orphaned"] == nil })

	p.kill9(t)
	leave("late")
	p = r.start(t)
	gone("late")
	p.settle(t, "q")
	if all := r.list(t, configMaps); all["q-a"] == nil || all["orphaned-a"] == nil {
		t.Errorf("there are %q, want the child of the parent that is selected, and the one that was to be kept", all.names())
	}
	if all := other.list(t, configMaps); all["q-b"] == nil {
		t.Errorf("elsewhere there are %q, want the child of the parent that is selected", all.names())
	}
}
