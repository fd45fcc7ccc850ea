package compose_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/compose/parts"
)

// passing is a kind of a test, which comes and goes.
func (r *rig) passing(t *testing.T) (resource schema.GroupVersionResource, serve func(served bool)) {
	t.Helper()
	resource = schema.GroupVersionResource{Group: r.namespace + ".example.com", Version: "v1", Resource: "passings"}
	text := fmt.Sprintf(passingDefinition, r.namespace)
	shared.Apply(t, text)
	return resource, func(served bool) {
		t.Helper()
		shared.Apply(t, strings.Replace(text, "served: true", fmt.Sprintf("served: %t", served), 1))
	}
}

// TestOnRemoveOfAKindThatIsNotServed removes a definition while one of its kinds is not served:
// what is left of that is looked at when it is back.
func TestOnRemoveOfAKindThatIsNotServed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	passings, serve := r.passing(t)
	apiVersion := passings.GroupVersion().String()
	d := r.selecting("selected", shared.Namespace(t), parts.Child{Name: "passing", Object: map[string]any{
		"apiVersion": apiVersion, "kind": "Passing", "metadata": map[string]any{"name": "{name}"},
	}})
	d.Config.Owns = append(d.Config.Owns, parts.Owns{APIVersion: apiVersion, Kind: "Passing"})
	d.settings["onRemove"] = "orphan"
	r.defineAll(t, map[string]definition{definitionName: d, "bystander": r.bystander()})
	p := r.start(t)
	r.selected(t, "p")
	serve(false)
	p.AwaitLog(t, "definition changed state", "state", "Waiting")
	r.removed = []string{definitionName}
	r.defineAll(t, map[string]definition{"bystander": r.bystander()})
	p.reload(t)
	p.AwaitLog(t, "kinds are not served, so what is left of them is looked at when they are")
	if have := marksOf(r.list(t, configMaps), "p-a"); len(have) > 0 {
		t.Errorf("the child of a kind that is served still has %v", have)
	}
	r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["p"].GetFinalizers()) == 0 })
	if conformance { // Another process knows it, too.
		p.kill9(t)
		p = r.start(t)
		p.AwaitLog(t, "kinds are not served, so what is left of them is looked at when they are")
	}
	serve(true)
	p.AwaitLog(t, "a definition does not handle these objects any more")
	if have := marksOf(r.list(t, passings), "p"); len(have) > 0 {
		t.Errorf("the child of the kind that is back still has %v", have)
	}
	if records := r.records(t); len(records[definitionName].Left) > 0 {
		t.Errorf("recorded is %+v", records[definitionName])
	}
}

// TestOnRemoveOfWatch gives a definition parents of another kind, or of another namespace: what
// becomes of the children of before is what the file says, and the finalizers go.
func TestOnRemoveOfWatch(t *testing.T) {
	t.Parallel()
	for _, changed := range []string{"kind", "namespaces"} {
		for _, onRemove := range []string{"retain", "delete"} {
			t.Run(changed+" "+onRemove, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				other, next := &rig{namespace: shared.Namespace(t)}, &rig{namespace: shared.Namespace(t)}
				r.defineAll(t, map[string]definition{definitionName: r.selecting("selected", other.namespace)})
				p := r.start(t)
				r.selected(t, "p")

				d := r.selecting("selected", other.namespace)
				d.settings["onRemove"] = onRemove
				watch := maps.Clone(d.settings["watch"].(map[string]any))
				parent := `{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "metadata": {"name": "q", "labels": {"selected": ""}}, "spec": {"text": "x"}}`
				resource, place := things, next
				if changed == "kind" {
					passings, _ := r.passing(t)
					watch["apiVersion"], watch["kind"] = passings.GroupVersion().String(), "Passing"
					parent = fmt.Sprintf(`{"apiVersion": %q, "kind": "Passing", "metadata": {"name": "q", "labels": {"selected": ""}}}`, passings.GroupVersion())
					resource, place = passings, r
				} else {
					watch["namespaces"] = []string{next.namespace}
				}
				d.settings["watch"] = watch
				place.create(t, resource, parent)
				r.defineAll(t, map[string]definition{definitionName: d})
				p.reload(t)
				p.AwaitLog(t, "a definition does not handle these objects any more")
				r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["p"].GetFinalizers()) == 0 })
				place.await(t, configMaps, "the child of the new parent", func(o objects) bool { return o["q-a"] != nil })
				want := onRemove == "retain"
				if here, there := r.list(t, configMaps), other.list(t, configMaps); (here["p-a"] != nil) != want || (there["p-b"] != nil) != want {
					t.Errorf("there are %q and %q, want the children of before: %t", here.names(), there.names(), want)
				}
				other.await(t, configMaps, "the child of the new parent elsewhere", func(o objects) bool { return o["q-b"] != nil })
			})
		}
	}
}
