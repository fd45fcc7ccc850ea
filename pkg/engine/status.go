package engine

import (
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// condition is everything that a definition's state depends on. What becomes of it is decided in state, and nowhere else; when
// the state began is the board's to note.
type condition struct {
	paused bool
	// source is the state of the definition's sources; empty before there are any.
	source       status.State
	sourceReason string
	// buildErr is that of the last try to make the handler.
	buildErr error
	built    bool
	// missing says which rights the handler lacks; empty if none.
	missing string
	// overdue and failing say which calls ignore their deadline, and which objects keep failing; empty if none.
	overdue, failing string
}

// state is the definition's state machine: the first thing that keeps the definition from its work is its state. It has no
// memory, so every state can follow every other, but for Paused, which a definition never enters or leaves.
func (c condition) state() (state status.State, reason string) {
	switch {
	case c.paused:
		return status.Paused, ""
	case c.source == "":
		return status.Syncing, ""
	case c.source != status.Running:
		return c.source, c.sourceReason
	case c.buildErr != nil:
		return status.Degraded, c.buildErr.Error()
	case !c.built:
		return status.Syncing, "making the handler"
	case c.missing != "":
		return status.Degraded, c.missing
	case c.overdue != "":
		return status.Degraded, c.overdue
	case c.failing != "":
		return status.Degraded, c.failing
	default:
		return status.Running, ""
	}
}

// condition collects what the state depends on.
func (c *controller) condition() condition {
	now := condition{paused: c.def.Paused, failing: c.failures.describe()}
	c.mu.Lock()
	view := c.view
	now.built, now.buildErr, now.missing, now.overdue = c.handler != nil, c.buildErr, c.missing, describeOverdue(c.overdue)
	c.mu.Unlock()
	if view != nil {
		state, err := view.Status()
		if now.source = state; err != nil {
			now.sourceReason = err.Error()
		}
	}
	return now
}

// refresh notes the definition's condition. It is to be called after everything that changes it.
func (c *controller) refresh() {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	failing, exhausted := c.failures.counts()
	c.metrics.Failing.Set(float64(failing))
	c.metrics.Exhausted.Set(float64(exhausted))
	c.note(c.condition())
}

// note writes the definition's state to the board, and to the log when it is another.
func (c *controller) note(now condition) {
	state, reason := now.state()
	before := c.board.Get(c.def.Name).State
	if !c.board.Set(c.def.Name, state, reason) {
		return
	}
	if state == before {
		c.logger.V(1).Info("definition's reason changed", "state", state, telemetry.KeyReason, reason)
		return
	}
	c.logger.Info("definition changed state", "state", state, "was", before, telemetry.KeyReason, reason)
}
