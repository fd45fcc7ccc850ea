// Package status is what definitions are doing: the state of each, with its reason, on one board
// that /readyz, the metrics and the status page read. It decides nothing: the engine says what the
// state is.
//
//	board := status.NewBoard(metrics)
//	board.Set("pods", status.Degraded, "…")
package status

import (
	"slices"
	"time"
)

// State is what a definition is doing.
type State string

// The states of a definition.
const (
	// Waiting means that the watched kind is not served by the API server yet.
	Waiting State = "Waiting"
	// Syncing means that the first list is under way.
	Syncing State = "Syncing"
	// Running means that the cache follows the API server and objects are handled, by this replica
	// or the leader.
	Running State = "Running"
	// ReloadPending means that objects are handled as the config said before: what it says now
	// cannot take over yet, and the reason says why.
	ReloadPending State = "ReloadPending"
	// PruneHeld means that objects are handled, but that no children are deleted before somebody
	// says so: too many would go at once.
	PruneHeld State = "PruneHeld"
	// Degraded means that something keeps the definition from its work; the reason says what.
	Degraded State = "Degraded"
	// Paused means that the config says paused: true.
	Paused State = "Paused"
)

// States lists every state in the order of a definition's life.
func States() []State {
	return []State{Waiting, Syncing, Running, ReloadPending, PruneHeld, Degraded, Paused}
}

// OfSource reports whether a source may be in this state, too.
func (s State) OfSource() bool { return s != ReloadPending && s != PruneHeld && s != Paused }

// Severity orders states that are true together, of several watches say: a failure says more than a
// wait, and a wait more than a first list under way.
func (s State) Severity() int {
	return slices.Index([]State{Syncing, Waiting, Degraded}, s) + 1
}

// Status is a definition's state with its reason.
type Status struct {
	// State is what the definition is doing.
	State State `json:"state"`
	// Reason says why, in one line; empty where the state says it all.
	Reason string `json:"reason,omitempty"`
	// Since is when the state was entered.
	Since time.Time `json:"since"`
}
