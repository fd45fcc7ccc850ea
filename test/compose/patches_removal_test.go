package compose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// TestPatchOnRemove takes a definition out of the file whose parents contribute.
func TestPatchOnRemove(t *testing.T) {
	t.Parallel()
	for _, onRemove := range []string{"retain", "orphan", "delete"} {
		t.Run(onRemove, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.target(t, "shared")
			gone, stays := patching(patchOf("shared", "gone")), patching(patchOf("shared", "stays"))
			gone.settings = map[string]any{"onRemove": onRemove, "status": "none"}
			r.defineAll(t, map[string]definition{"gone": gone, "stays": stays})
			p := r.start(t)
			thing := r.thing(t, "p", "x")
			r.awaitPatched(t, "shared", map[string]string{"own": "1", "gone": "x", "stays": "x"})
			r.removed = []string{"gone"}
			r.defineAll(t, map[string]definition{"stays": stays})
			p.reload(t)
			p.AwaitLog(t, "a definition does not handle these objects any more")
			r.await(t, things, "the finalizer of the other one alone", func(o objects) bool {
				return len(o["p"].GetFinalizers()) == 1 && finalizerOf(o["p"].GetFinalizers()) == "stays"
			})
			o := r.get(t, configMaps, "shared")
			data, _, marked := contentOf(o)
			want := map[string]string{"retain": "x", "orphan": "x", "delete": ""}[onRemove]
			if data["gone"] != want || data["stays"] != "x" || !marked {
				t.Errorf("there is %v, the mark: %t; want gone: %q", data, marked, want)
			}
			manager := fmt.Sprintf("kooperd/gone/%s", thing.GetUID())
			if has := strings.Contains(fmt.Sprint(patchManagers(o)), manager); has != (onRemove == "retain") {
				t.Errorf("field managers %v", patchManagers(o))
			}
			p.settle(t, "p")
			r.remove(t, things, "p")
			r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
			if onRemove == "delete" {
				r.clean(t, "shared")
			}
			if _, _, marked := contentOf(r.get(t, configMaps, "shared")); marked != (onRemove == "retain") {
				t.Errorf("the mark: %t", marked)
			}
		})
	}
}

// TestPatchRename gives a definition another name: it contributes under that, and the field never
// goes in between.
func TestPatchRename(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target(t, "shared")
	before := patching(patchOf("shared", "{name}"))
	r.defineAll(t, map[string]definition{"before": before})
	p := r.start(t)
	thing := r.thing(t, "p", "x")
	r.ready(t, "p")
	after := before
	after.settings = map[string]any{"formerly": []string{"before"}}
	r.defineAll(t, map[string]definition{"after": after})
	p.reload(t)
	want := fmt.Sprintf("[kooperd/after/%s]", thing.GetUID())
	r.await(t, configMaps, "the manager of the new name alone", func(o objects) bool {
		data, _, marked := contentOf(o["shared"])
		if data["p"] != "x" || !marked {
			t.Errorf("there is %v, the mark: %t", data, marked)
		}
		return fmt.Sprint(patchManagers(o["shared"])) == want
	})
	p.settle(t, "p")
	r.remove(t, things, "p")
	r.clean(t, "shared")
}

// TestPatchOfParentThatLeaves takes parents out of the selector, while a process runs and while
// none does.
func TestPatchOfParentThatLeaves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target(t, "shared")
	d := patching(patchOf("shared", "{name}"))
	d.settings = r.selecting("selected", r.namespace).settings
	r.defineAll(t, map[string]definition{definitionName: d})
	p := r.start(t)
	for _, name := range []string{"p", "late", "stays"} {
		r.selected(t, name)
	}
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "p": "x", "late": "x", "stays": "x"})
	r.patch(t, things, "p", `{"metadata": {"labels": {"selected": null}}}`)
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "late": "x", "stays": "x"})
	r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["p"].GetFinalizers()) == 0 })
	p.kill9(t)
	r.patch(t, things, "late", `{"metadata": {"labels": {"selected": null}}}`)
	r.start(t)
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "stays": "x"})
	r.await(t, things, "the finalizers to go", func(o objects) bool {
		return len(o["p"].GetFinalizers())+len(o["late"].GetFinalizers()) == 0 && len(o["stays"].GetFinalizers()) == 1
	})
}

// TestPatchAfterKill9 kills the leader right after each write of a change, before it has the
// answer: the next one brings the world to the same end.
func TestPatchAfterKill9(t *testing.T) {
	t.Parallel()
	k := &killed{rig: newRig(t)}
	k.defineAll(t, map[string]definition{definitionName: patching(patchOf("shared", "{name}"), patchOf("other", "{name}"))})
	k.target(t, "shared")
	k.target(t, "other")
	k.cutter = newCutter(t, k.rig)
	k.launch(t)
	k.thing(t, "barrier", "none")
	k.ready(t, "barrier")
	has := func(value string) {
		t.Helper()
		for _, name := range []string{"shared", "other"} {
			k.await(t, configMaps, fmt.Sprintf("%s with %q", name, value), func(o objects) bool {
				data, _, _ := contentOf(o[name])
				return data["p"] == value
			})
		}
	}
	for n := 1; n <= size(3, 6); n++ {
		for _, change := range []struct {
			do    func()
			value string
		}{
			{func() { k.thing(t, "p", "x") }, "x"},
			{func() { k.patch(t, things, "p", `{"spec": {"text": "y"}}`) }, "y"},
			{func() { k.remove(t, things, "p") }, ""},
		} {
			reached := k.cutter.Arm(n)
			change.do()
			k.process.settleUnless(t, reached, "barrier")
			k.process.kill9(t)
			k.cutter.Release()
			k.launch(t)
			has(change.value)
			if change.value == "" {
				k.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
			} else {
				k.ready(t, "p")
			}
			k.process.settle(t, "barrier")
		}
	}
	k.clean(t, "shared")
	k.clean(t, "other")
}

// rightsOfPatches are the shapes of definitions that contribute.
func rightsOfPatches(elsewhere string) map[string]parts.Config {
	here := patching(patchOf("shared", "{name}")).Config
	there := here
	there.Patched = []parts.Patched{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}}
	object := patchOf("shared", "{name}").Object
	object["metadata"].(map[string]any)["namespace"] = elsewhere
	there.Patches = []parts.Patch{{When: []string{"x", "y"}, Object: object}}
	return map[string]parts.Config{"here": here, "elsewhere": there}
}

// TestPatchRights gives kooperd the rights that it prints, and lets a definition contribute and
// withdraw: nothing is refused, and nothing is left over.
func TestPatchRights(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"here", "elsewhere"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newBoundRig(t)
			at := &rig{namespace: shared.Namespace(t)}
			config := rightsOfPatches(at.namespace)[name]
			if name == "here" {
				at = r
			}
			at.target(t, "shared")
			r.defineAll(t, map[string]definition{definitionName: {Config: config}})
			rights := r.printed(t)
			r.grant(t, rights...)
			p := r.start(t)
			r.thing(t, "p", "x")
			r.thing(t, "q", "x")
			r.ready(t, "p")
			r.ready(t, "q")
			r.patch(t, things, "q", `{"spec": {"text": "none"}}`)
			at.awaitPatched(t, "shared", map[string]string{"own": "1", "p": "x"})
			at.remove(t, configMaps, "shared")
			r.awaitPatchEvent(t, p, "TargetAbsent", "shared", "does not exist")
			at.target(t, "shared")
			r.ready(t, "p")
			for _, parent := range []string{"p", "q"} {
				r.remove(t, things, parent)
			}
			r.await(t, things, "the parents to go", func(o objects) bool { return o["p"] == nil && o["q"] == nil })
			at.clean(t, "shared")
			if status := p.Stop(t); status != 0 {
				t.Errorf("exit status is %d, want 0", status)
			}
			// Series of events, and changes of the record, are another test's.
			rights = slices.DeleteFunc(rights, func(right cluster.RBAC) bool { return right.Namespace == r.leases })
			for i := range rights {
				rights[i].Rules = slices.DeleteFunc(rights[i].Rules, func(rule rbacv1.PolicyRule) bool { return slices.Contains(rule.Resources, "events") })
			}
			checkRights(t, r, rights)
		})
	}
}
