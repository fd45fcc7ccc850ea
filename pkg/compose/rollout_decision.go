package compose

import (
	"fmt"
	"slices"

	"kooperd.dev/kooperd/pkg/config"
)

// RolloutCounts are the parents of a definition, as far as a rollout goes by them.
type RolloutCounts struct {
	// Parents is how many there are.
	Parents int
	// Unavailable are those that are not ready, for whatever reason, and those that are being
	// changed.
	Unavailable int
	// Moved are those of Unavailable that have what is desired, or are on their way to that.
	Moved int
	// Overdue are those that have what is desired and are not ready for longer than pauseWhen says.
	Overdue int
}

// Held says why a parent is held that has not what is desired; empty if it is to be changed. ready
// is whether it is ready as it is. One that is not may be changed although others are not ready
// either: it cannot become less available. But of those that are changed, too, only so many may be
// not ready.
func (c RolloutCounts) Held(limits config.Rollout, ready bool) string {
	most := limits.MaxUnavailable.Of(c.Parents)
	switch pause := limits.PauseWhen; {
	case pause != nil && c.Overdue >= pause.NotReady.Of(c.Parents):
		return fmt.Sprintf("it is paused, because %d have not been ready for longer than %s", c.Overdue, pause.LongerThan)
	case c.Moved >= most, ready && c.Unavailable >= most:
		return fmt.Sprintf("%d are not ready, of %d that may be", c.Unavailable, most)
	}
	return ""
}

// moves returns the counts with one more parent that is being changed.
func (c RolloutCounts) moves(ready bool) RolloutCounts {
	if c.Moved++; ready {
		c.Unavailable++
	}
	return c
}

// Outdated reports whether a plan is for a parent that has not what is desired: something is to be
// made, changed or deleted, now or when something else of the plan is done. What another party has
// changed and is set back is not.
func Outdated(ops []Op) bool {
	return slices.ContainsFunc(ops, func(op Op) bool {
		switch op.Action {
		case Create, HandOver, Recreate, Adopt, Delete:
			return true
		case Apply:
			return op.Reason != ReasonDrift
		case Wait:
			return op.Reason == ReasonReplaced || op.Reason == ReasonAfter && !op.isCurrent()
		default:
			return false
		}
	})
}

// isCurrent reports whether there is an object of the child, as it is desired.
func (op Op) isCurrent() bool {
	return op.Observed != nil && op.Observed.marks.applied == op.Desired.hash
}

// OutdatedPatches is Outdated of patches. One that has to be read first is taken to be new.
func OutdatedPatches(ops []PatchOp) bool {
	return slices.ContainsFunc(ops, func(op PatchOp) bool {
		switch op.Action {
		case Withdraw, Read:
			return true
		default:
			return op.Action == Apply && op.Reason != ReasonDrift
		}
	})
}
