package compose_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestUnavailable has a composer that lacks something which is not about its parents.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, map[string]definition{definitionName: {
		Config:   parts.Config{Children: []parts.Child{configMap("a")}, Unavailable: []string{"down"}, Status: map[string]any{"text": "{text}"}},
		settings: map[string]any{"retry": map[string]any{"initialDelay": "20ms", "maxDelay": "100ms", "maxRetries": 1}},
	}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	p.settle(t, "p")
	mark := shared.AuditMark(t)
	r.patch(t, things, "p", `{"spec": {"text": "down"}}`)
	p.Await(t, "the state Degraded", func() bool {
		text := p.readyz(t)
		return strings.Contains(text, "[-] things: Degraded since") && strings.Contains(text, "nobody answers, as the test wants")
	})
	p.Await(t, "more calls than are allowed for failures", func() bool {
		return r.record.has(t, func(c parts.Call) bool { return c.Object == "p" && c.Attempt > 3 })
	})
	r.noWrites(t, mark, "when nobody answers,")
	if status, _, message := conditionOf(r.get(t, things, "p"), "Ready"); status != "True" {
		t.Errorf("the parent is not ready any more: %s", message)
	}
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.ready(t, "p")
	p.Await(t, "the state Running", func() bool { return strings.Contains(p.readyz(t), "things: Running since") })
	p.Stop(t)
	events, err := shared.Client().EventsV1().Events(r.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		t.Errorf("an event of %s: %s %s", e.Regarding.Name, e.Reason, e.Note)
	}
}
