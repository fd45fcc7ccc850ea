package daemon

import (
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
)

// TestRolloutNote counts the objects that a rollout does not change at once.
func TestRolloutNote(t *testing.T) {
	child := func(action compose.Action, reason compose.Reason) compose.TriedChild {
		return compose.TriedChild{Action: action, Reason: reason}
	}
	trial := func(children ...compose.TriedChild) *engine.Tried {
		return &engine.Tried{Trial: compose.Trial{Children: children}}
	}
	changed := trial(child(compose.Skip, compose.ReasonCurrent), child(compose.Apply, compose.ReasonChanged))
	onlyCreated := trial(child(compose.Create, compose.ReasonAbsent), child(compose.Wait, compose.ReasonAfter))
	more := trial(child(compose.Skip, compose.ReasonCurrent), child(compose.Create, compose.ReasonAbsent))
	drifted := trial(child(compose.Apply, compose.ReasonDrift))
	patched := &engine.Tried{Trial: compose.Trial{Patches: []compose.TriedPatch{{Action: compose.Apply, Reason: compose.ReasonChanged}}}}
	left := &engine.Tried{Trial: changed.Trial, Excluded: "its labels are others"}

	d := &engine.PlannedDefinition{Objects: 12, Rolled: 7, Tried: []*engine.Tried{changed, onlyCreated, more, drifted, patched, left}}
	if note := rolloutNote(d); note != "" {
		t.Errorf("without a rollout: %q", note)
	}
	d.Definition.Rollout = &config.Rollout{MaxUnavailable: config.Share{Percent: 20}} // 2 of 7: the others are paused
	if note := rolloutNote(d); !strings.Contains(note, "changes 3 objects") || !strings.Contains(note, "while 2 of all 7") {
		t.Errorf("the note is %q, want 3 objects, and 2 of 7", note)
	}
	d.Definition.Rollout.MaxUnavailable = config.Share{Number: 3}
	if note := rolloutNote(d); note != "" {
		t.Errorf("all may be changed at once: %q", note)
	}
}
