package compose_test

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestAfter has a child that comes after another.
func TestAfter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second, third := configMap("first"), configMap("second"), configMap("third")
	first.ReadyBy, second.After, third.After = "go", []string{"first"}, []string{"second"}
	r.define(t, third, second, first, configMap("apart"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.awaitCondition(t, "p", "p-first", "go")
	p.settle(t, "p")
	all := r.list(t, configMaps)
	if all["p-second"] != nil || all["p-third"] != nil || all["p-apart"] == nil {
		t.Errorf("there are %q, want the first and the one apart", all.names())
	}
	r.patch(t, configMaps, "p-first", `{"metadata": {"annotations": {"go": ""}}}`)
	r.await(t, configMaps, "the others", func(o objects) bool { return o["p-second"] != nil && o["p-third"] != nil })
	r.ready(t, "p")
}

// TestChain has children made of what the API server answers for others: their parent needs no
// event in between.
func TestChain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second, third := configMap("first"), configMap("second"), configMap("third")
	second.Object["data"] = map[string]any{"uid": "{child first metadata.uid}"}
	third.Object["data"] = map[string]any{"uid": "{child second metadata.uid}"}
	r.define(t, third, second, first)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	all := r.list(t, configMaps)
	if got, want := all.text("p-third", "data", "uid"), string(all["p-second"].GetUID()); got != want {
		t.Errorf("the third child has %q, want the UID of the second, %q", got, want)
	}
	mark := shared.AuditMark(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "after a chain of children")
}

// TestNewestFirst starts with parents that are there already: the newest comes first, so that it
// does not wait for all the others.
func TestNewestFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"))
	const n = 20
	for i := range n {
		r.thing(t, fmt.Sprintf("p%02d", i), "x")
	}
	r.start(t)
	r.await(t, configMaps, "all children", func(o objects) bool { return len(o) > n })
	var order []string
	for _, c := range r.record.all(t) {
		if !slices.Contains(order, c.Object) {
			order = append(order, c.Object)
		}
	}
	want := slices.Sorted(slices.Values(order))
	slices.Reverse(want)
	if len(order) != n || !slices.Equal(order, want) {
		t.Errorf("order of the first calls: %q, want the newest first", order)
	}
}

// TestCycle has children that come after each other.
func TestCycle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := configMap("a"), configMap("b")
	a.After, b.After = []string{"b"}, []string{"a"}
	r.define(t, a, b, configMap("c"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.awaitCondition(t, "p", "after")
	p.settle(t, "p")
	if all := r.list(t, configMaps); all["p-a"] != nil || all["p-b"] != nil || all["p-c"] == nil {
		t.Errorf("there are %q, want the child that is in no cycle", all.names())
	}
}

// TestRelated calls a parent when what it reads changes, and not for what it does not read.
func TestRelated(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	child := configMap("a")
	child.Object["data"] = map[string]any{"all": "{related team}"}
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Children: []parts.Child{child},
		Reads:    []parts.Reads{{Name: "team", APIVersion: "v1", Kind: "Secret", Label: "team=" + r.namespace, SameNamespace: true}},
	}}})
	secret := func(name, team string) string {
		return `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "` + name + `", "labels": {"team": "` + team + `"}}}`
	}
	r.create(t, secrets, secret("one", r.namespace))
	r.create(t, secrets, secret("apart", "another"))
	p := r.start(t)
	r.thing(t, "p", "x")
	has := func(text string) func(objects) bool {
		return func(o objects) bool { return o.text("p-a", "data", "all") == text }
	}
	r.await(t, configMaps, "what is there", has("one"))
	r.create(t, secrets, secret("two", r.namespace))
	r.await(t, configMaps, "what is new", has("one two"))
	p.kill9(t)
	r.remove(t, secrets, "one")
	r.start(t)
	r.await(t, configMaps, "what has gone while no process ran", has("two"))
}

// TestInvalidChild has a child that the API server refuses: the others are not held up, and it
// comes when the parent changes.
func TestInvalidChild(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	invalid := configMap("invalid")
	invalid.Object["data"] = map[string]any{"{text}": "x"}
	r.define(t, invalid, configMap("a"))
	p := r.start(t)
	r.thing(t, "p", "not a key")
	if reason := r.awaitCondition(t, "p", "p-invalid"); reason != "Invalid" {
		t.Errorf("the reason is %q, want Invalid", reason)
	}
	r.await(t, configMaps, "the other child", func(o objects) bool { return o["p-a"] != nil })
	p.settle(t, "p")
	r.patch(t, things, "p", `{"spec": {"text": "key"}}`)
	r.ready(t, "p")
}

var laters = schema.GroupVersionResource{Group: "later.kooperd.dev", Version: "v1", Resource: "laters"}

// TestKindServedLater has a child of a kind that is not there yet, and comes.
func TestKindServedLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	child := parts.Child{Name: "l", Object: map[string]any{
		"apiVersion": "later.kooperd.dev/v1", "kind": "Later", "metadata": map[string]any{"name": "{name}-l"}, "spec": map[string]any{"text": "{text}"},
	}}
	r.defineAll(t, map[string]definition{
		"later": {Config: parts.Config{Children: []parts.Child{child}, Owns: []parts.Owns{{APIVersion: "later.kooperd.dev/v1", Kind: "Later"}}}},
	})
	p := r.start(t)
	r.thing(t, "p", "x")
	p.Await(t, "the kind to be missed", func() bool {
		_, body := p.Get(t, "health", "/readyz?verbose")
		return len(body) > 0
	})
	shared.Apply(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: laters.later.kooperd.dev}
spec:
  group: later.kooperd.dev
  scope: Namespaced
  names: {kind: Later, plural: laters, singular: later}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`)
	r.await(t, laters, "the child", func(o objects) bool { return o.text("p-l", "spec", "text") == "x" })
	r.ready(t, "p")
}
