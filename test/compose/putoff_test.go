package compose_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/compose/parts"
)

// TestPutOff has a composer that asks for a call a moment later, and after an hour.
func TestPutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	write := func(after time.Duration) {
		r.defineAll(t, map[string]definition{definitionName: {
			Config: parts.Config{
				Children: []parts.Child{configMap("a")}, PutOff: []string{"busy"}, PutOffFor: handlers.Duration(after),
			},
			settings: map[string]any{"retry": map[string]any{"initialDelay": "20ms", "maxDelay": "100ms", "maxRetries": 1}},
		}})
	}
	write(200 * time.Millisecond)
	p := r.start(t)
	r.thing(t, "p", "busy")
	retries := func() (n int) {
		for _, c := range r.record.all(t) {
			if c.Object == "p" && c.Cause == handlers.CauseRetry {
				n++
			}
		}
		return n
	}
	p.Await(t, "more retries than are allowed for failures", func() bool { return retries() >= 3 })
	r.await(t, things, "the third call in a row to be said", func(o objects) bool {
		status, reason, _ := o.condition("p", "Progressing")
		return status == "True" && reason == "RetryAfter"
	})
	if status, _, message := conditionOf(r.get(t, things, "p"), "Degraded"); status != "False" {
		t.Errorf("the parent is Degraded: %s", message)
	}

	// A change is handled at once, and neither backoff nor another parent makes a call sooner.
	write(time.Hour)
	p.reload(t)
	touch := r.touch(t, "p")
	p.Await(t, "a call that is put off for an hour", func() bool {
		return r.record.has(t, func(c parts.Call) bool { return c.Object == "p" && c.Touch == touch })
	})
	before := retries()
	mark := shared.AuditMark(t)
	r.thing(t, "q", "x")
	r.ready(t, "q")
	p.settle(t, "q")
	if n := retries() - before; n > 0 {
		t.Errorf("%d retries within the hour", n)
	}
	for _, s := range r.writes(t, mark) {
		if s.name == "p" {
			t.Errorf("the parent that waits was written: %s", s)
		}
	}
	r.patch(t, things, "p", `{"spec": {"text": "x"}}`)
	r.ready(t, "p")
	p.Stop(t)
	events, err := shared.Client().EventsV1().Events(r.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "regarding.name=p"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		t.Errorf("an event of the parent: %s %s", e.Reason, e.Note)
	}
}
