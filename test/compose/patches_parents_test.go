package compose_test

import (
	"testing"
)

// TestPatchOfPausedParent leaves alone what a parent contributes that is paused. With the parent,
// it goes.
func TestPatchOfPausedParent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target(t, "shared")
	r.defineAll(t, map[string]definition{definitionName: patching(patchOf("shared", "{name}"))})
	p := r.start(t)
	for _, name := range []string{"p", "q"} {
		r.thing(t, name, "x")
		r.ready(t, name)
	}
	pause := func(name, value string) {
		t.Helper()
		r.patch(t, things, name, `{"metadata": {"annotations": {"kooperd.dev/paused": `+value+`}}}`)
	}
	pause("p", `"true"`)
	r.await(t, things, "the condition", func(o objects) bool {
		status, _, _ := o.condition("p", "Paused")
		return status == "True"
	})
	mark := shared.AuditMark(t)
	r.patch(t, things, "p", `{"spec": {"text": "none"}}`)
	r.patch(t, configMaps, "shared", `{"data": {"p": "theirs"}}`)
	p.settle(t, "q")
	r.noWrites(t, mark, "while the parent is paused")
	pause("p", "null")
	r.patch(t, things, "p", `{"spec": {"text": "x"}}`)
	r.awaitCondition(t, "p", "shared", "data.p")
	r.patch(t, configMaps, "shared", `{"data": {"p": null}}`)
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "p": "x", "q": "x"})
	r.ready(t, "p")
	for _, name := range []string{"p", "q"} {
		pause(name, `"true"`)
		r.remove(t, things, name)
	}
	r.await(t, things, "the parents to go", func(o objects) bool { return o["p"] == nil && o["q"] == nil })
	r.clean(t, "shared")
}

// TestPatchWithWhere withdraws what a parent contributes that its condition excludes, while a
// process runs and while none does, and contributes it again.
func TestPatchWithWhere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target(t, "shared")
	d := patching(patchOf("shared", "{name}"))
	d.settings = map[string]any{"where": `object.spec.text != "y"`}
	r.defineAll(t, map[string]definition{definitionName: d})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.thing(t, "late", "x")
	r.thing(t, "never", "y")
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "p": "x", "late": "x"})
	set := func(name, text string) {
		t.Helper()
		r.patch(t, things, name, `{"spec": {"text": "`+text+`"}}`)
	}
	set("p", "y")
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "late": "x"})
	r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["p"].GetFinalizers()) == 0 })
	set("p", "x")
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "late": "x", "p": "x"})
	p.kill9(t)
	set("late", "y")
	p = r.start(t)
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "p": "x"})
	r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["late"].GetFinalizers()) == 0 })
	set("p", "y")
	r.clean(t, "shared")
	p.Stop(t)
}
