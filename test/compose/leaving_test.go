package compose_test

import (
	"fmt"
	"slices"
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
	for _, name := range []string{"p", "q", "late", "alone", "orphaned"} {
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
	// Of this one, nothing is left but the finalizer.
	leave("alone")
	r.remove(t, configMaps, "alone-a")
	other.remove(t, configMaps, "alone-b")
	p = r.start(t)
	gone("late")
	gone("alone")
	p.settle(t, "q")
	if all := r.list(t, configMaps); all["q-a"] == nil || all["orphaned-a"] == nil {
		t.Errorf("there are %q, want the child of the parent that is selected, and the one that was to be kept", all.names())
	}
	if all := other.list(t, configMaps); all["q-b"] == nil {
		t.Errorf("elsewhere there are %q, want the child of the parent that is selected", all.names())
	}
}

// TestParentsDeletedAtOnce deletes many parents of a definition with a selector. Their events do
// not say that they have not only left, and it takes few requests to find out.
func TestParentsDeletedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.selecting("selected", r.namespace)
	d.Config = parts.Config{Children: []parts.Child{configMap("a")}}
	r.defineAll(t, map[string]definition{definitionName: d})
	p := r.start(t)
	r.selected(t, "witness")
	n := size(60, 200)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("p%d", i)
		r.thing(t, names[i], "x")
		r.patch(t, things, names[i], `{"metadata": {"labels": {"selected": "", "many": ""}}}`)
	}
	r.ready(t, names[n-1])
	p.settle(t, "witness")
	mark := shared.AuditMark(t)
	err := shared.Dynamic().Resource(things).Namespace(r.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "many"})
	if err != nil {
		t.Fatal(err)
	}
	r.await(t, things, "the parents to go", func(o objects) bool { return len(o) == 1 })
	r.patch(t, things, "witness", `{"metadata": {"labels": {"selected": null}}}`)
	r.await(t, configMaps, "the child of the witness to go", func(o objects) bool { return o["witness-a"] == nil })
	lists := slices.DeleteFunc(r.sent(t, mark), func(s sent) bool { return s.verb != "list" || s.resource != "things" })
	if len(lists) > 20 {
		t.Errorf("there are %d lists of parents after %d deletions, want a few", len(lists), n)
	}
}
