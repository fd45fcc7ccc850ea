package daemon

import (
	"fmt"
	"slices"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/engine"
)

// rolloutNote says that not all objects would be changed at once; empty if they would.
func rolloutNote(d *engine.PlannedDefinition) string {
	limits := d.Definition.Rollout
	if limits == nil {
		return ""
	}
	waves := 0
	for _, tried := range d.Tried {
		if tried.Excluded == "" && waitsForRollout(tried.Trial) {
			waves++
		}
	}
	atOnce := limits.MaxUnavailable.Of(d.Rolled)
	if waves <= atOnce {
		return ""
	}
	return fmt.Sprintf("its rollout changes %d objects a few at a time: no more while %d of all %d are not ready", waves, atOnce, d.Rolled)
}

// waitsForRollout reports whether an object has children, or contributes to others, and not all as
// desired. New objects get theirs at once, and what others have changed is set back at once.
func waitsForRollout(t compose.Trial) bool {
	outdated, made := false, false
	look := func(action compose.Action, reason compose.Reason) {
		switch action {
		case compose.Create:
			outdated = true
		case compose.HandOver, compose.Recreate, compose.Adopt, compose.Delete, compose.Withdraw:
			outdated, made = true, true
		case compose.Apply:
			outdated, made = outdated || reason != compose.ReasonDrift, true
		case compose.Wait:
			outdated = outdated || slices.Contains([]compose.Reason{compose.ReasonAfter, compose.ReasonReplaced}, reason)
		case compose.Skip, compose.Retain:
			made = true
		default:
		}
	}
	for _, child := range t.Children {
		look(child.Action, child.Reason)
	}
	for _, patch := range t.Patches {
		look(patch.Action, patch.Reason)
	}
	return outdated && made
}
