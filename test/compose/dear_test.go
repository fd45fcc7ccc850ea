package compose_test

import (
	"strings"
	"testing"
)

// TestDearExpression has an expression of the plugin apply that is too dear for what one parent
// says: that parent is degraded, and the state of the definition names it. The others go on, and it
// recovers when it changes.
func TestDearExpression(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, map[string]definition{definitionName: {settings: map[string]any{"handler": map[string]any{"apply": map[string]any{
		"children": map[string]any{"a": map[string]any{"template": map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "${object.metadata.name}-a"},
			"data": map[string]any{"text": "${string(object.spec.text.split(',').distinct().size())}"},
		}}},
	}}}}})
	p := r.start(t)
	r.thing(t, "dear", strings.Repeat("x,", 20_000))
	dear := func(o objects) (status, message string) {
		status, _, message = o.condition("dear", "Degraded")
		return status, message
	}
	r.await(t, things, "the parent to be degraded", func(o objects) bool {
		status, message := dear(o)
		return status == "True" && strings.Contains(message, "actual cost limit exceeded")
	})
	r.thing(t, "cheap", "a,b,a")
	r.ready(t, "cheap")
	if all := r.list(t, configMaps); all.text("cheap-a", "data", "text") != "2" || all["dear-a"] != nil {
		t.Errorf("there are %q, want the child of the other parent alone", all.show())
	}
	p.Await(t, "the state of the definition to name it", func() bool {
		state := p.states(t)
		return strings.Contains(state, "for 1 object(s)") && strings.Contains(state, "/dear:")
	})
	r.patch(t, things, "dear", `{"spec": {"text": "a,b,c"}}`)
	r.ready(t, "dear")
	if status, message := dear(r.list(t, things)); status != "False" {
		t.Errorf("it is degraded: %s, %s", status, message)
	}
	p.Await(t, "the definition to be well", func() bool { return !strings.Contains(p.states(t), "Degraded") })
}
