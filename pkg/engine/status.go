package engine

import (
	"slices"
	"sync"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// condition is everything that a definition's state depends on. state alone decides what follows
// from it.
type condition struct {
	paused bool
	// source is the state of what the definition watches; empty before it watches anything.
	source       status.State
	sourceReason string
	// sourceForbidden is true when the reason is a right that is missing.
	sourceForbidden bool
	// buildErr is that of the last try to make the handler.
	buildErr error
	built    bool
	// missing says which rights the handler lacks; empty if none.
	missing string
	// overdue and failing say which calls ignore their deadline, and which objects keep failing;
	// empty if none.
	overdue, failing string
	// unavailable says what the handler needs for all objects and does not get; empty for nothing.
	unavailable string
	failingObjects
	// held says why no children are deleted; empty if they are.
	held string
	// rollout says how far a change is that is made to a few objects at a time; empty for none.
	rollout string
	// undecidable says why no event can be decided on; empty if some can.
	undecidable string
	// pending says why a changed definition does not replace the running one yet; empty if none
	// waits.
	pending string
}

// failingObjects are those whose last call failed.
type failingObjects struct {
	failed, exhausted int               // how many there are, and are out of retries
	troubles          []telemetry.Cause // why those among them fail that keep failing
}

// state is the definition's state machine: the first thing that keeps the definition from its work
// is its state. A change that waits is the last, and mentioned with every other. The state has no
// memory, so every one can follow every other.
func (c condition) state() (state status.State, reason string) {
	state, reason = c.obstacle()
	switch {
	case c.pending == "":
		return state, reason
	case state == status.Running:
		return status.ReloadPending, changeWaits + c.pending
	case reason == "":
		return state, changeWaits + c.pending
	default:
		return state, reason + "; " + changeWaits + c.pending
	}
}

// changeWaits is followed by what a changed definition waits for.
const changeWaits = "the change of the definition waits: "

// obstacle is the state without regard to a change that waits.
func (c condition) obstacle() (state status.State, reason string) {
	switch {
	case c.paused:
		return status.Paused, c.overdue
	case c.source == "":
		return status.Syncing, ""
	case c.source != status.Running:
		return c.source, c.sourceReason
	case c.buildErr != nil:
		return status.Degraded, c.buildErr.Error()
	case !c.built:
		return status.Syncing, "making the handler"
	}
	for _, reason := range []string{c.missing, c.overdue, c.unavailable, c.failing, c.undecidable} {
		if reason != "" {
			return status.Degraded, reason
		}
	}
	if c.held != "" {
		return status.PruneHeld, c.held
	}
	return status.Running, c.rollout
}

// causes are all that makes the definition Degraded, also what its state does not say because
// something else comes first. Of one fault there is one cause: a right to watch that is missing is
// one among those of the handler, and calls that fail because a right is missing are none where it
// is known which one of these.
func (c condition) causes() (causes []telemetry.Cause) {
	if state, _ := c.obstacle(); state != status.Degraded {
		return nil
	}
	failing := slices.Contains(c.troubles, telemetry.CauseFailing) ||
		c.missing == "" && slices.Contains(c.troubles, telemetry.CauseRights)
	for _, of := range []struct {
		holds bool
		cause telemetry.Cause
	}{
		{c.source == status.Degraded && !c.sourceForbidden, telemetry.CauseSource},
		{c.buildErr != nil, telemetry.CauseHandler},
		{c.missing != "" || c.source == status.Degraded && c.sourceForbidden, telemetry.CauseRights},
		{c.overdue != "", telemetry.CauseOverdue},
		{c.unavailable != "", telemetry.CauseUnavailable},
		{failing, telemetry.CauseFailing},
		{slices.Contains(c.troubles, telemetry.CauseOutOfRetries), telemetry.CauseOutOfRetries},
		{slices.Contains(c.troubles, telemetry.CauseRefused), telemetry.CauseRefused},
		{c.undecidable != "", telemetry.CauseUndecidable},
	} {
		if of.holds {
			causes = append(causes, of.cause)
		}
	}
	return causes
}

// definitionStatus keeps the state of one definition on the board, in the metrics and in the log.
type definitionStatus struct {
	name      string
	board     *status.Board
	metrics   *telemetry.Controller
	logger    logr.Logger
	condition func() condition // what the controller knows
	changed   func()           // called when the condition may be another

	calls *callTracker
	past  pastCalls

	mu     sync.Mutex // makes computing and recording the state one step
	frozen bool
}

func newDefinitionStatus(
	name string, board *status.Board, metrics *telemetry.Controller, logger logr.Logger, read func() condition,
	changed func(),
) *definitionStatus {
	s := &definitionStatus{
		name: name, board: board, metrics: metrics, logger: logger, condition: read, changed: changed,
		past: pastCalls{window: newCallWindow()},
	}
	s.calls = newCallTracker(s.refresh)
	return s
}

// refresh records the definition's state. It is called after everything that may change it.
func (s *definitionStatus) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return
	}
	now := s.condition()
	now.overdue = s.calls.describe()
	s.metrics.Failing.Set(float64(now.failed))
	s.metrics.Exhausted.Set(float64(now.exhausted))
	s.record(now)
	s.changed()
}

// record writes the state to the board, and to the log if it has changed.
func (s *definitionStatus) record(now condition) {
	state, reason := now.state()
	s.metrics.SetDegraded(now.causes()...)
	s.metrics.SetPending(now.pending != "")
	before := s.board.Get(s.name).State
	if !s.board.Set(s.name, state, reason) || before == "" {
		return
	}
	if state == before {
		s.logger.V(1).Info("definition's reason changed", "state", state, telemetry.KeyReason, reason)
		return
	}
	s.logger.Info("definition changed state", "state", state, "was", before, telemetry.KeyReason, reason)
}

// endWork is called when no call is under way, and none will be for now.
func (s *definitionStatus) endWork() {
	s.metrics.QueueLength(0)
	s.calls.stop()
	s.past.log.Pause()
	s.refresh()
}

// freeze keeps the state as it is: the process is stopping, or the definition is being removed.
func (s *definitionStatus) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

// remove takes the definition off the board, and its series before: who sees that it is gone finds
// none of them.
func (s *definitionStatus) remove(series func()) {
	s.freeze()
	series()
	s.past.log.Remove()
	s.board.Remove(s.name)
}
