package compose_test

import (
	"testing"

	"kooperd.dev/kooperd/test/compose/parts"
)

// where is a definition for the parents that a condition selects, with a child beside each and one
// in another namespace.
func (r *rig) where(condition, other string) definition {
	return definition{
		Config: parts.Config{
			Owns:     []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}},
			Children: []parts.Child{configMap("a"), elsewhere(other, "b")},
		},
		settings: map[string]any{"where": condition},
	}
}

// TestParentLeavesWhere has parents that the condition excludes after they had children, while a
// process runs and while none does: their children go, and their finalizers. By a change of the
// condition in the file, they stay.
func TestParentLeavesWhere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := &rig{namespace: shared.Namespace(t)}
	r.defineAll(t, map[string]definition{definitionName: r.where(`object.spec.text != "off"`, other.namespace)})
	p := r.start(t)
	for _, name := range []string{"p", "q", "late", "deleted"} {
		r.thing(t, name, "x")
		r.ready(t, name)
	}
	gone := func(name string) {
		t.Helper()
		r.await(t, configMaps, "the child of "+name+" to go", func(o objects) bool { return o[name+"-a"] == nil })
		other.await(t, configMaps, "the child of "+name+" elsewhere to go", func(o objects) bool { return o[name+"-b"] == nil })
		r.await(t, things, "the finalizer of "+name+" to go", func(o objects) bool { return o[name] == nil || len(o[name].GetFinalizers()) == 0 })
	}
	set := func(name, text string) {
		t.Helper()
		r.patch(t, things, name, `{"spec": {"text": "`+text+`"}}`)
	}
	set("p", "off")
	gone("p")
	set("p", "on")
	r.await(t, configMaps, "the child to be made again", func(o objects) bool { return o["p-a"] != nil })
	r.ready(t, "p")

	// One that leaves and is deleted is cleaned up.
	set("deleted", "off")
	r.remove(t, things, "deleted")
	gone("deleted")

	p.kill9(t)
	set("late", "off")
	p = r.start(t)
	gone("late")
	p.settle(t, "q")
	all, far := r.list(t, configMaps), other.list(t, configMaps)
	if all["q-a"] == nil || far["q-b"] == nil {
		t.Errorf("there are %q and %q, want the children of the parent that is selected", all.names(), far.names())
	}

	set("q", "y")
	r.await(t, configMaps, "a child that is as the parent", func(o objects) bool { return o.text("q-a", "data", "text") == "y" })
	r.defineAll(t, map[string]definition{definitionName: r.where(`!(object.spec.text in ["off", "y"])`, other.namespace)})
	p.reload(t)
	p.AwaitLog(t, "a definition does not handle these objects any more")
	r.await(t, things, "the finalizer of q to go", func(o objects) bool { return len(o["q"].GetFinalizers()) == 0 })
	r.touch(t, "q")
	r.patch(t, configMaps, "q-a", `{"data": {"more": "calls"}}`)
	p.kill9(t)
	r.start(t)
	set("p", "off")
	gone("p")
	all, far = r.list(t, configMaps), other.list(t, configMaps)
	if all["q-a"] == nil || far["q-b"] == nil {
		t.Errorf("there are %q and %q, want the children of the parent that the file does not want any more", all.names(), far.names())
	}
	set("q", "z")
	r.await(t, configMaps, "the child of q to be right again", func(o objects) bool { return o.text("q-a", "data", "text") == "z" })
}

// TestConditionOnChangesSelectsNoParents has a condition that says which changes count: no parent
// leaves by it.
func TestConditionOnChangesSelectsNoParents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := &rig{namespace: shared.Namespace(t)}
	d := r.where(`oldObject != null && object.spec.text != "off"`, other.namespace)
	r.defineAll(t, map[string]definition{definitionName: d})
	p := r.start(t)
	for _, name := range []string{"p", "q"} {
		r.thing(t, name, "x")
		r.touch(t, name)
		r.ready(t, name)
	}
	before := r.get(t, configMaps, "p-a")
	r.patch(t, things, "p", `{"spec": {"text": "off"}}`)
	p.settle(t, "q")
	r.untouched(t, configMaps, before)
}
