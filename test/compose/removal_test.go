package compose_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// bystander is a definition that stays, and has nothing to do.
func (r *rig) bystander() definition {
	d := r.selecting("nobody", r.namespace)
	d.settings["status"] = "none"
	return d
}

// records are those in the ConfigMap, by definition.
func (r *rig) records(t *testing.T) map[string]struct {
	Kind string
	Left []struct {
		Done     bool
		OnRemove string
	}
} {
	t.Helper()
	records := map[string]struct {
		Kind string
		Left []struct {
			Done     bool
			OnRemove string
		}
	}{}
	for id, text := range (&rig{namespace: r.leases}).get(t, configMaps, recordsName).Object["data"].(map[string]any) {
		record := records[id]
		if err := json.Unmarshal([]byte(text.(string)), &record); err != nil {
			t.Fatal(err)
		}
		records[id] = record
	}
	return records
}

// marksOf are the marks of kooperd that an object has, and its owners.
func marksOf(o objects, name string) (marks []string) {
	for key := range o[name].GetLabels() {
		if strings.HasPrefix(key, "kooperd.dev/") {
			marks = append(marks, key)
		}
	}
	for key := range o[name].GetAnnotations() {
		if strings.HasPrefix(key, "kooperd.dev/") {
			marks = append(marks, key)
		}
	}
	for _, owner := range o[name].GetOwnerReferences() {
		marks = append(marks, owner.Kind)
	}
	return marks
}

// TestOnRemove takes a definition out of the file, by a reload, and while no process runs.
func TestOnRemove(t *testing.T) {
	t.Parallel()
	for _, onRemove := range []string{"retain", "orphan", "delete"} {
		for _, restarts := range []bool{false, true} {
			if restarts != (onRemove == "delete") && !conformance {
				continue
			}
			t.Run(onRemove+map[bool]string{false: " by a reload", true: " by a restart"}[restarts], func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				other := &rig{namespace: shared.Namespace(t)}
				d := r.selecting("selected", other.namespace)
				if onRemove != "retain" {
					d.settings["onRemove"] = onRemove
				}
				with := map[string]definition{definitionName: d, "bystander": r.bystander()}
				r.defineAll(t, with)
				p := r.start(t)
				r.selected(t, "p")
				copied := r.createObject(t, configMaps, marked(r.get(t, configMaps, "p-a"), "copy"))
				before := r.get(t, configMaps, "p-a")

				r.removed = []string{definitionName}
				r.defineAll(t, map[string]definition{"bystander": r.bystander()})
				if restarts {
					p.kill9(t)
					p = r.start(t)
				} else {
					p.reload(t)
				}
				p.AwaitLog(t, "a definition does not handle these objects any more")
				r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["p"].GetFinalizers()) == 0 })
				r.untouched(t, configMaps, copied)
				here, there := r.list(t, configMaps), other.list(t, configMaps)
				switch onRemove {
				case "retain":
					r.untouched(t, configMaps, before)
					if there["p-b"] == nil || !r.records(t)[definitionName].Left[0].Done {
						t.Error("the children are not there, or forgotten")
					}
					r.reappears(t, p, with, other)
				case "orphan":
					if have := slices.Concat(marksOf(here, "p-a"), marksOf(there, "p-b")); len(have) > 0 {
						t.Errorf("the children still have %v", have)
					}
				case "delete":
					if here["p-a"] != nil || there["p-b"] != nil {
						t.Errorf("there are still %v and %v", here.names(), there.names())
					}
				}
			})
		}
	}
}

// reappears puts a definition into the file again: it takes its children, without a write.
func (r *rig) reappears(t *testing.T, p *replica, with map[string]definition, other *rig) {
	t.Helper()
	here, there := r.get(t, configMaps, "p-a"), other.get(t, configMaps, "p-b")
	r.removed = nil
	r.defineAll(t, with)
	p.reload(t)
	r.await(t, things, "the finalizer", func(o objects) bool { return len(o["p"].GetFinalizers()) == 1 })
	p.settle(t, "p")
	r.untouched(t, configMaps, here)
	other.untouched(t, configMaps, there)
	if record := r.records(t)[definitionName]; record.Kind != "Thing" || len(record.Left) > 0 {
		t.Errorf("recorded is %+v", record)
	}
}

// TestOnRemoveOfSelection changes the selector in the file: what becomes of the children is what
// the file says, also when a process that has not seen the change finds them.
func TestOnRemoveOfSelection(t *testing.T) {
	t.Parallel()
	for _, onRemove := range []string{"retain", "delete"} {
		t.Run(onRemove, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			other := &rig{namespace: shared.Namespace(t)}
			witness := r.selecting("witness", other.namespace)
			witness.settings["status"] = "none"
			r.defineAll(t, map[string]definition{definitionName: r.selecting("selected", other.namespace), "witness": witness})
			p := r.start(t)
			r.selected(t, "p")
			r.selected(t, "q")
			r.thing(t, "w", "x")
			r.patch(t, things, "w", `{"metadata": {"labels": {"witness": ""}}}`)
			r.await(t, configMaps, "the child of the witness", func(o objects) bool { return o["w-a"] != nil })
			r.patch(t, things, "q", `{"metadata": {"labels": {"more": ""}}}`)
			now := r.selecting("selected,more", other.namespace)
			now.settings["onRemove"] = onRemove
			r.defineAll(t, map[string]definition{definitionName: now, "witness": witness})
			p.reload(t)
			r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["p"].GetFinalizers()) == 0 })
			p.kill9(t)
			r.patch(t, things, "w", `{"metadata": {"labels": {"witness": null}}}`)
			p = r.start(t)
			// When this one is gone, the new leader has looked for parents that have left.
			r.await(t, configMaps, "the child of the witness to go", func(o objects) bool { return o["w-a"] == nil })
			p.settle(t, "q")
			want := onRemove == "retain"
			all := r.list(t, configMaps)
			if all["q-a"] == nil || (all["p-a"] != nil) != want || (other.list(t, configMaps)["p-b"] != nil) != want {
				t.Errorf("there are %v, want the child of p: %t", all.names(), want)
			}
		})
	}
}

// TestComposerBecomesHandler gives the name of a composer to a handler: the finalizers go.
func TestComposerBecomesHandler(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := &rig{namespace: shared.Namespace(t)}
	r.defineAll(t, map[string]definition{definitionName: r.selecting("selected", other.namespace), "bystander": r.bystander()})
	p := r.start(t)
	r.selected(t, "p")
	r.defineAll(t, map[string]definition{
		definitionName: {settings: map[string]any{"handler": map[string]any{"log": map[string]any{}}}},
		"bystander":    r.bystander(),
	})
	p.reload(t)
	r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["p"].GetFinalizers()) == 0 })
	if r.list(t, configMaps)["p-a"] == nil || other.list(t, configMaps)["p-b"] == nil {
		t.Error("the children are gone")
	}
}
