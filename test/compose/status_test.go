package compose_test

import (
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestStatus follows the status of a parent from its creation on.
func TestStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	child := configMap("a")
	child.ReadyBy = "go"
	status := map[string]any{"text": "{text}", "unknown": "x", "conditions": []any{
		map[string]any{"type": "Mine", "status": "True", "reason": "Mine", "message": "{text}"},
		map[string]any{"type": "Ready", "status": "True", "reason": "Mine", "message": "kooperd's own"},
	}}
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{Children: []parts.Child{child}, Status: status}}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.awaitCondition(t, "p", "p-a", "go")
	p.settle(t, "p")
	if mine, _, message := conditionOf(r.get(t, things, "p"), "Mine"); mine != "True" || message != "x" {
		t.Errorf("the condition of the composer is %q, %q", mine, message)
	}
	r.patch(t, configMaps, "p-a", `{"metadata": {"annotations": {"go": ""}}}`)
	first := r.ready(t, "p")

	p.settle(t, "p") // A write is seen before the API server has put it into the audit log.
	mark := shared.AuditMark(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "with a field of the status that is not kept")
	p.Stop(t)
	p = r.start(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "after a restart")

	// A condition that stays what it is keeps its time.
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.await(t, things, "the status of the change", func(o objects) bool { return o.text("p", "status", "text") == "y" })
	second := r.ready(t, "p")
	for _, kind := range []string{"Ready", "Mine"} {
		if before, now := transition(first, kind), transition(second, kind); before == "" || before != now {
			t.Errorf("lastTransitionTime of %s was %q and is %q, want the same", kind, before, now)
		}
	}

	// What another party writes into it is set right; conditions of others stay.
	r.patch(t, things, "p", `{"status": {"text": "theirs", "conditions": [
		{"type": "Theirs", "status": "True", "reason": "A", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}}`, "status")
	all := r.await(t, things, "the status to be set right", func(o objects) bool {
		return o.text("p", "status", "text") == "y" && isReady(o["p"])
	})
	if theirs, _, _ := all.condition("p", "Theirs"); theirs != "True" {
		t.Errorf("the condition of another party is gone: %s", all.show())
	}
}

func transition(o *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, item := range conditions {
		if c, _ := item.(map[string]any); c["type"] == kind {
			text, _ := c["lastTransitionTime"].(string)
			return text
		}
	}
	return ""
}

// TestReadyIsNeverEarly reads from resourceVersions that a parent was ready at a generation after
// its children were written for that.
func TestReadyIsNeverEarly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Children: []parts.Child{configMap("b"), configMap("c")}, Status: map[string]any{"text": "{text}"},
	}}})
	r.start(t)
	r.thing(t, "p", "0")
	r.ready(t, "p")
	for _, text := range []string{"1", "2", "3"} {
		r.patch(t, things, "p", `{"spec": {"text": "`+text+`"}}`)
		ready := version(t, r.ready(t, "p"))
		all := r.list(t, configMaps)
		for _, name := range []string{"p-b", "p-c"} {
			if got, at := all.text(name, "data", "text"), version(t, all[name]); got != text || at > ready {
				t.Errorf("the parent is ready at %d, and %s has %q at %d, want %q before", ready, name, got, at, text)
			}
		}
	}
}

// version is the resourceVersion, by which versions of all objects are in order.
func version(t *testing.T, o *unstructured.Unstructured) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBuiltInParent has parents of a kind of Kubernetes itself: their status is not ours.
func TestBuiltInParent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := definition{Config: parts.Config{Children: []parts.Child{fixed("a")}, Status: map[string]any{"text": "x"}}}
	d.settings = map[string]any{"watch": map[string]any{
		"apiVersion": "v1", "kind": "Secret", "namespaces": []string{r.namespace}, "labelSelector": "parent",
	}}
	r.defineAll(t, map[string]definition{definitionName: d})
	r.create(t, secrets, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"parent": ""}}}`)
	p := r.start(t)
	r.await(t, configMaps, "the child", func(o objects) bool { return o["s-a"] != nil })
	p.Stop(t)
	for _, s := range r.sent(t, r.begun) {
		if strings.HasPrefix(s.resource, "secrets") && s.write {
			t.Errorf("a parent of a built-in kind was written: %s", s)
		}
	}
}

// TestOwnWritesCallNothing counts the calls for a parent: those of its own writes are none.
func TestOwnWritesCallNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Children: []parts.Child{configMap("a"), configMap("b"), configMap("c")}, Status: map[string]any{"text": "{text}"},
	}}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.thing(t, "q", "x")
	r.ready(t, "p")
	p.settle(t, "q") // The events of all writes for p are before that.
	p.settle(t, "q")
	calls := 0
	for _, c := range r.record.all(t) {
		if c.Object == "p" {
			calls++
		}
	}
	if calls > 2 {
		t.Errorf("%d calls for a new parent, want the first and one that has seen the answers", calls)
	}
}
