package compose_test

import (
	"strings"
	"testing"
)

// TestMoveToADefinitionWithoutRights has an heir that may not have children of one of its kinds:
// the donor keeps what it may take over, and lets it go when the heir has the right.
func TestMoveToADefinitionWithoutRights(t *testing.T) {
	t.Parallel()
	r := newBoundRig(t)
	r.defineAll(t, map[string]definition{donorName: donor(configMap("stays"), configMap("net"))})
	r.grant(t, r.printed(t)...)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	before := r.uids(t, "p-net")
	p.settle(t, "p")
	mark := shared.AuditMark(t)
	next := heir(configMap("net")).withOwned(secrets, "Secret")
	r.defineAll(t, map[string]definition{donorName: donor(configMap("stays")), heirName: next})
	p.reload(t)
	r.await(t, things, "a condition that says what is waited for", func(o objects) bool {
		status, reason, message := o.condition("p", "Progressing")
		return status == "True" && reason == "Moving" && strings.Contains(message, "p-net") && strings.Contains(message, heirName)
	})
	p.handled(t, "p", donorName)
	for _, w := range r.writes(t, mark) {
		if strings.HasSuffix(w.name, "-net") {
			t.Errorf("while the heir has no right, there is a write: %v", w)
		}
	}
	mark = shared.AuditMark(t)
	r.grant(t, r.printed(t)...)
	r.moved(t, p, mark, before)
}
