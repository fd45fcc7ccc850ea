package compose_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestParentDeletedWhileDown deletes a parent while no process runs: the garbage collector does it
// all.
func TestParentDeletedWhileDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"), configMap("b"))
	p := r.start(t)
	thing := r.thing(t, "p", "x")
	r.ready(t, "p")
	if finalizers := r.get(t, things, "p").GetFinalizers(); len(finalizers) > 0 {
		t.Errorf("finalizers %q, want none: the garbage collector needs no help", finalizers)
	}
	p.kill9(t)
	r.remove(t, things, "p")
	r.await(t, configMaps, "the children to go", func(o objects) bool { return o["p-a"] == nil && o["p-b"] == nil })

	// One of the same name is another one.
	again := r.thing(t, "p", "y")
	r.start(t)
	all := r.await(t, configMaps, "the children of the next parent", func(o objects) bool { return o["p-a"] != nil && o["p-b"] != nil })
	for _, name := range []string{"p-a", "p-b"} {
		if uid := all[name].GetLabels()[parentLabel]; uid != string(again.GetUID()) || uid == string(thing.GetUID()) {
			t.Errorf("%s is of the parent %s, want %s", name, uid, again.GetUID())
		}
	}
}

// TestRecreatedParent deletes a parent and makes it again at once, again and again.
func TestRecreatedParent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"), configMap("b"))
	r.start(t)
	r.thing(t, "p", "0")
	for i := range size(3, 20) {
		r.ready(t, "p")
		r.remove(t, things, "p")
		text := string(rune('a' + i))
		thing := r.thing(t, "p", text)
		r.await(t, configMaps, "the children of the next parent", func(o objects) bool {
			for _, name := range []string{"p-a", "p-b"} {
				if o[name] == nil || o[name].GetLabels()[parentLabel] != string(thing.GetUID()) || o.text(name, "data", "text") != text {
					return false
				}
			}
			return true
		})
	}
}

// TestFinalizer has children that the garbage collector does not delete.
func TestFinalizer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	elsewhere := &rig{namespace: shared.Namespace(t)}
	d := threeChildren(elsewhere.namespace)
	r.defineAll(t, map[string]definition{definitionName: d})
	p := r.start(t)
	r.thing(t, "p", "all")
	r.thing(t, "q", "all")
	r.ready(t, "p")
	r.ready(t, "q")
	if finalizers := r.get(t, things, "p").GetFinalizers(); len(finalizers) != 1 || !strings.Contains(finalizers[0], "kooperd.dev/") {
		t.Errorf("finalizers %q, want one of kooperd", finalizers)
	}
	bystander := elsewhere.createObject(t, configMaps, marked(elsewhere.get(t, configMaps, "p-c"), "copy"))

	// A child that does not go keeps the parent, which says so.
	elsewhere.patch(t, configMaps, "p-c", `{"metadata": {"finalizers": ["example.com/wait"]}}`)
	r.remove(t, things, "p")
	elsewhere.await(t, configMaps, "the child being deleted", func(o objects) bool { return o["p-c"] != nil && o["p-c"].GetDeletionTimestamp() != nil })
	r.awaitCondition(t, "p", "p-c", "example.com/wait")
	p.kill9(t)
	// Deletion goes by what is there, not by what would be desired.
	d.Config.Children, d.Config.Fail = nil, "unknown"
	r.defineAll(t, map[string]definition{definitionName: d})
	r.start(t)
	elsewhere.patch(t, configMaps, "p-c", `{"metadata": {"finalizers": null}}`)
	r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
	r.await(t, configMaps, "the children to go", func(o objects) bool { return o["p-a"] == nil && o["p-b"] == nil })
	all := elsewhere.list(t, configMaps)
	if all["p-c"] != nil || all["q-c"] == nil {
		t.Errorf("the other namespace has %q, want the child of the other parent alone", all.names())
	}
	elsewhere.untouched(t, configMaps, bystander)
}

// TestNamespaceDeleted deletes the namespace of parents and children.
func TestNamespaceDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"), configMap("b"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	if err := shared.Client().CoreV1().Namespaces().Delete(t.Context(), r.namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.Await(t, "the namespace to go", func() bool {
		_, err := shared.Client().CoreV1().Namespaces().Get(t.Context(), r.namespace, metav1.GetOptions{})
		return err != nil
	})
	if n := len(r.refusals(t)); n > 5 {
		t.Errorf("%d requests were refused in the namespace that goes, want a few: %v", n, r.refusals(t))
	}
}

// refusals are the writes of the installation that the API server has refused because a namespace
// goes.
func (r *rig) refusals(t testing.TB) []sent {
	t.Helper()
	var found []sent
	for _, s := range r.writes(t, r.begun) {
		if s.code == 403 {
			found = append(found, s)
		}
	}
	return found
}
