package compose_test

import (
	"testing"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestConditionPrefix has two definitions for one parent, of which one has a prefix.
func TestConditionPrefix(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	given := func(text string) map[string]any {
		return map[string]any{"text": text, "conditions": []any{
			map[string]any{"type": "Mine", "status": "True", "reason": "Mine", "message": text},
		}}
	}
	child := configMap("b")
	child.ReadyBy = "go"
	r.defineAll(t, map[string]definition{
		"plain": {Config: parts.Config{Children: []parts.Child{configMap("a")}, Status: given("plain")}},
		"backup": {
			Config:   parts.Config{Children: []parts.Child{child}, Status: given("backup")},
			settings: map[string]any{"conditionPrefix": "Backup"},
		},
	})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.await(t, things, "the conditions of both", func(o objects) bool {
		plain, _, _ := o.condition("p", "Ready")
		backup, _, _ := o.condition("p", "BackupReady")
		return plain == "True" && backup == "False"
	})
	r.patch(t, configMaps, "p-b", `{"metadata": {"annotations": {"go": ""}}}`)
	all := r.await(t, things, "the child of the prefix to be ready", func(o objects) bool {
		backup, _, _ := o.condition("p", "BackupReady")
		return backup == "True"
	})
	for kind, want := range map[string]string{"Mine": "plain", "BackupMine": "backup"} {
		if status, _, message := all.condition("p", kind); status != "True" || message != want {
			t.Errorf("condition %s is %q with message %q, want True and %q", kind, status, message, want)
		}
	}
	if text := all.text("p", "status", "text"); text != "plain" {
		t.Errorf("the text of the status is %q, want that of the definition without a prefix", text)
	}
	p.settle(t, "p")
	mark := shared.AuditMark(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "when all is right")
}
