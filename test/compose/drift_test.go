package compose_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// decorated is a child with a label, an annotation and a list besides.
func decorated(name string) parts.Child {
	child := configMap(name)
	meta := child.Object["metadata"].(map[string]any)
	meta["labels"], meta["annotations"] = map[string]any{"app": "web"}, map[string]any{"note": "ours"}
	return child
}

// drifts are changes of a decorated child by another party.
var drifts = map[string]string{
	"value changed":            `{"data": {"text": "drift"}}`,
	"value removed":            `{"data": {"text": null}}`,
	"all values removed":       `{"data": null}`,
	"label changed":            `{"metadata": {"labels": {"app": "drift"}}}`,
	"label removed":            `{"metadata": {"labels": {"app": null}}}`,
	"annotation changed":       `{"metadata": {"annotations": {"note": "drift"}}}`,
	"owner reference replaced": `{"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}}`,
}

// TestDriftFixed changes what a child sets, while a process runs and while none does.
func TestDriftFixed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, decorated("a"))
	p := r.start(t)
	names := map[string]string{}
	for name := range drifts {
		names[name] = fmt.Sprintf("p%d", len(names))
		r.thing(t, names[name], "x")
	}
	wanted := func(name string) func(objects) bool {
		object := names[name] + "-a"
		return func(o objects) bool {
			now := o[object]
			return now != nil && o.text(object, "data", "text") == "x" && o.text(object, "data", "child") == "a" && now.GetLabels()["app"] == "web" &&
				now.GetAnnotations()["note"] == "ours" && controlledBy(now) == names[name]
		}
	}
	for name, patch := range drifts {
		r.ready(t, names[name])
		r.patch(t, configMaps, names[name]+"-a", patch)
	}
	for name := range drifts {
		r.await(t, configMaps, name+", to be set right", wanted(name))
	}
	p.kill9(t)
	for name, patch := range drifts {
		r.patch(t, configMaps, names[name]+"-a", patch)
	}
	r.start(t)
	for name := range drifts {
		r.await(t, configMaps, name+" while no process ran, to be set right", wanted(name))
	}
}

// TestForeignFieldsStay adds fields that the child does not set: they are left to others.
func TestForeignFieldsStay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, decorated("a"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	added := r.patch(t, configMaps, "p-a",
		`{"metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "1"}, "finalizers": ["example.com/theirs"]}, "data": {"theirs": "1"}}`)
	p.settle(t, "p")
	r.untouched(t, configMaps, added)
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	all := r.await(t, configMaps, "the change", func(o objects) bool { return o.text("p-a", "data", "text") == "y" })
	if now := all["p-a"]; now.GetLabels()["theirs"] != "1" || now.GetAnnotations()["theirs"] != "1" || all.text("p-a", "data", "theirs") != "1" {
		t.Errorf("the fields of the other are gone: %s", all.show())
	}
	r.patch(t, configMaps, "p-a", `{"metadata": {"finalizers": null}}`)
}

// TestDriftPolicies leaves drift where the policy says so: reported, or in silence.
func TestDriftPolicies(t *testing.T) {
	t.Parallel()
	for policy, degraded := range map[handlers.Drift]string{handlers.DriftReport: "True", handlers.DriftIgnore: "False"} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			child := decorated("a")
			child.Drift = policy
			r.define(t, child)
			p := r.start(t)
			r.thing(t, "p", "x")
			r.ready(t, "p")
			drifted := r.patch(t, configMaps, "p-a", `{"data": {"text": "drift"}, "metadata": {"labels": {"app": "drift"}}}`)
			p.settle(t, "p")
			r.untouched(t, configMaps, drifted)
			r.await(t, things, "Degraded "+degraded, func(o objects) bool {
				status, _, _ := o.condition("p", "Degraded")
				return status == degraded
			})
			// A change of what is desired is no drift.
			r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
			r.await(t, configMaps, "the change", func(o objects) bool { return o.text("p-a", "data", "text") == "y" })
		})
	}
}

// TestConflicts lets another manager apply what the child sets.
func TestConflicts(t *testing.T) {
	t.Parallel()
	take := func(t *testing.T, r *rig) answer {
		s := newSubject(t, configMapFacts, r.namespace, "p-a")
		return s.mustApply(t, other, s.write(`"data": {"text": "taken"}`, ""), "force=true")
	}
	t.Run("force", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.define(t, configMap("a"))
		r.start(t)
		r.thing(t, "p", "x")
		r.ready(t, "p")
		take(t, r)
		r.await(t, configMaps, "the value of the child", func(o objects) bool { return o.text("p-a", "data", "text") == "x" })
	})
	t.Run("fail", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		child := configMap("a")
		child.Conflicts = handlers.ConflictsFail
		r.define(t, child, configMap("b"))
		p := r.start(t)
		r.thing(t, "p", "x")
		r.ready(t, "p")
		take(t, r)
		r.awaitCondition(t, "p", other, "data.text")
		p.settle(t, "p")
		if value := r.get(t, configMaps, "p-a").Object["data"].(map[string]any)["text"]; value != "taken" {
			t.Errorf("the value is %q, want that of the other manager", value)
		}
		r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
		r.await(t, configMaps, "the other child", func(o objects) bool { return o.text("p-b", "data", "text") == "y" })
		// The other gives it up.
		s := newSubject(t, configMapFacts, r.namespace, "p-a")
		s.mustApply(t, other, s.write("", ""))
		r.ready(t, "p")
		r.await(t, configMaps, "the value of the child", func(o objects) bool { return o.text("p-a", "data", "text") == "y" })
	})
}

// TestDroppedField takes a field out of a child, while a process runs and while none does.
func TestDroppedField(t *testing.T) {
	t.Parallel()
	with := func(keys ...string) parts.Child {
		child := configMap("a")
		data := map[string]any{}
		for _, key := range keys {
			data[key] = "x"
		}
		child.Object["data"] = data
		return child
	}
	r := newRig(t)
	r.define(t, with("a", "b", "c"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	r.patch(t, configMaps, "p-a", `{"data": {"theirs": "x"}}`)
	has := func(keys ...string) func(objects) bool {
		want := map[string]any{"theirs": "x"}
		for _, key := range keys {
			want[key] = "x"
		}
		return func(o objects) bool { return o["p-a"] != nil && gocmp.Equal(want, o["p-a"].Object["data"]) }
	}
	r.define(t, with("a", "b"))
	p.reload(t)
	r.await(t, configMaps, "the first field to go", has("a", "b"))
	p.kill9(t)
	r.define(t, with("a"))
	r.start(t)
	r.await(t, configMaps, "the second field to go", has("a"))
}

// TestChangedName gives a child's object another name: it comes before the old one goes.
func TestChangedName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	child := configMap("a")
	child.ReadyBy = "go"
	r.define(t, child)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.await(t, configMaps, "the child", func(o objects) bool { return o["p-a"] != nil })
	r.patch(t, configMaps, "p-a", `{"metadata": {"annotations": {"go": ""}}}`)
	r.ready(t, "p")
	child.Object["metadata"] = map[string]any{"name": "{name}-renamed"}
	r.define(t, child)
	p.reload(t)
	r.await(t, configMaps, "the new object", func(o objects) bool { return o["p-renamed"] != nil })
	p.settle(t, "p")
	if r.list(t, configMaps)["p-a"] == nil {
		t.Fatal("the old object is gone before the new one is ready")
	}
	r.patch(t, configMaps, "p-renamed", `{"metadata": {"annotations": {"go": ""}}}`)
	r.await(t, configMaps, "the old object to go", func(o objects) bool { return o["p-a"] == nil })
	r.ready(t, "p")
}

// TestOneFieldOfManyParents changes one parent of several: one apply, and one write of its status.
func TestOneFieldOfManyParents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"), fixed("b"), fixed("c"))
	p := r.start(t)
	for i := range 5 {
		r.thing(t, fmt.Sprintf("p%d", i), "x")
	}
	for i := range 5 {
		r.ready(t, fmt.Sprintf("p%d", i))
	}
	p.settle(t, "p0")
	mark := shared.AuditMark(t)
	r.patch(t, things, "p3", `{"spec": {"text": "y"}}`)
	r.await(t, configMaps, "the change", func(o objects) bool { return o.text("p3-a", "data", "text") == "y" })
	r.ready(t, "p3")
	p.settle(t, "p3")
	r.onlyWrites(t, mark, "patch configmaps p3-a: 200", "patch things/status p3: 200")
}

// TestManyChanges changes a parent faster than it is handled: no past state is written again.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"))
	r.start(t)
	r.thing(t, "p", "0")
	n := size(50, 500)
	for i := range n {
		r.patch(t, things, "p", fmt.Sprintf(`{"spec": {"text": "%d"}}`, i+1))
	}
	r.await(t, configMaps, "the last change", func(o objects) bool { return o.text("p-a", "data", "text") == fmt.Sprint(n) })
	r.ready(t, "p")
	last := -1
	for _, text := range r.applied(t, "p-a") {
		i, err := strconv.Atoi(text)
		if err != nil || i <= last {
			t.Errorf("%q was applied after %d", text, last)
		}
		last = i
	}
}

// applied are the texts that a ConfigMap was applied with, in the order of the answers.
func (r *rig) applied(t *testing.T, name string) (texts []string) {
	t.Helper()
	for _, e := range r.audit(t, r.begun) {
		if e.Verb != "patch" || e.ObjectRef.Name != name || e.ResponseStatus.Code >= 300 {
			continue
		}
		var body struct{ Data struct{ Text string } }
		if err := json.Unmarshal(e.RequestObject, &body); err != nil {
			t.Fatalf("reading the audit log: %v", err)
		}
		texts = append(texts, body.Data.Text)
	}
	return texts
}

// TestReloadWritesNothing changes the config in ways that are none for the children.
func TestReloadWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := definition{Config: parts.Config{Children: []parts.Child{configMap("a"), configMap("b")}, Status: map[string]any{"text": "{text}"}}}
	r.defineAll(t, map[string]definition{definitionName: d})
	p := r.start(t)
	for i := range 5 {
		r.thing(t, fmt.Sprintf("p%d", i), "x")
	}
	for i := range 5 {
		r.ready(t, fmt.Sprintf("p%d", i))
	}
	p.settle(t, "p0")
	mark := shared.AuditMark(t)
	apart := definition{Config: parts.Config{Children: []parts.Child{configMap("a")}}, settings: map[string]any{"watch": map[string]any{
		"apiVersion": "v1", "kind": "Secret", "namespaces": []string{r.namespace}, "labelSelector": "nothing",
	}}}
	r.defineAll(t, map[string]definition{definitionName: d, "apart": apart})
	p.reload(t)
	p.settle(t, "p0")
	d.Children = []parts.Child{configMap("b"), configMap("a")}
	r.defineAll(t, map[string]definition{definitionName: d, "apart": apart})
	p.reload(t)
	for i := range 5 {
		p.settle(t, fmt.Sprintf("p%d", i))
	}
	r.noWrites(t, mark, "after changes of the config that change no child")
}

// fixed is a child that does not depend on the text of its parent.
func fixed(name string) parts.Child {
	child := configMap(name)
	child.Object["data"] = map[string]any{"child": name}
	return child
}

// onlyWrites fails the test if the writes of the installation since mark are others.
func (r *rig) onlyWrites(t testing.TB, mark cluster.AuditMark, want ...string) {
	t.Helper()
	var got []string
	for _, w := range r.writes(t, mark) {
		got = append(got, w.String())
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}
