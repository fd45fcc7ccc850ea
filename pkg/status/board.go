package telemetry

import (
	"maps"
	"slices"
	"strings"
	"sync"
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
	// Running means that the cache follows the API server and objects are handled, by this replica or the leader.
	Running State = "Running"
	// Degraded means that something keeps the definition from its work; the reason says what.
	Degraded State = "Degraded"
	// Paused means that the config says paused: true.
	Paused State = "Paused"
)

// States lists every state in the order of a definition's life.
func States() []State { return []State{Waiting, Syncing, Running, Degraded, Paused} }

// Status is a definition's state with its reason.
type Status struct {
	// State is what the definition is doing.
	State State `json:"state"`
	// Reason says why, in one line; empty where the state says it all.
	Reason string `json:"reason,omitempty"`
	// Since is when the state was entered.
	Since time.Time `json:"since"`
}

// Board keeps the status of every definition. It is the one place that /readyz, the metrics and the status page read.
// It is safe for concurrent use.
type Board struct {
	metrics *Metrics
	now     func() time.Time

	mu       sync.RWMutex
	statuses map[string]Status
	synced   map[string]bool
	stopping bool
	settled  chan struct{} // closed when every definition has got past its first list
	required []requirement
}

// requirement is something that a replica needs before it can do anything.
type requirement struct {
	what string
	met  func() bool
}

// NewBoard returns an empty board that keeps the state gauge of metrics up to date.
func NewBoard(metrics *Metrics) *Board {
	return &Board{metrics: metrics, now: time.Now, statuses: map[string]Status{}, synced: map[string]bool{}, settled: make(chan struct{})}
}

// Set records a definition's state and reports whether state or reason differ from what they were. The reason is made
// one line, as it often is the error of a plugin.
func (b *Board) Set(definition string, state State, reason string) (changed bool) {
	reason = strings.Join(strings.Fields(reason), " ")
	b.mu.Lock()
	defer b.mu.Unlock()
	old, known := b.statuses[definition]
	if known && old.State == state && old.Reason == reason {
		return false
	}
	since := old.Since
	if !known || old.State != state {
		since = b.now()
		b.metrics.setState(definition, state)
	}
	b.statuses[definition] = Status{State: state, Reason: reason, Since: since}
	if state != Syncing && !b.synced[definition] {
		b.synced[definition] = true
		b.settle()
	}
	return true
}

// Get returns a definition's status; the zero Status when it has none.
func (b *Board) Get(definition string) Status {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.statuses[definition]
}

// All returns a copy of every definition's status.
func (b *Board) All() map[string]Status {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return maps.Clone(b.statuses)
}

// Settled returns a channel that is closed once every definition has got past its first list, or is known to be unable to:
// the caches of this replica are as warm as they can be. It is to be called after all definitions have a status.
func (b *Board) Settled() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle()
	return b.settled
}

// settle closes settled when there is nothing to await any more.
func (b *Board) settle() {
	if len(b.synced) < len(b.statuses) {
		return
	}
	select {
	case <-b.settled:
	default:
		close(b.settled)
	}
}

// Require makes the replica unready until met returns true. what names it in the answer. met has to be safe for concurrent use
// and quick.
func (b *Board) Require(what string, met func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.required = append(b.required, requirement{what: what, met: met})
}

// Stop records that the daemon is shutting down: it is not ready from then on.
func (b *Board) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopping = true
}

// Ready tells whether the replica could do its work: every definition has got past its first list, or is known to be
// unable to, and everything that is required is there. One bad definition therefore never makes a replica unready. unready
// names what is still awaited.
func (b *Board) Ready() (ok bool, unready []string) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.stopping {
		return false, []string{"shutting down"}
	}
	for name := range b.statuses {
		if !b.synced[name] {
			unready = append(unready, name)
		}
	}
	slices.Sort(unready)
	for _, r := range b.required {
		if !r.met() {
			unready = append(unready, r.what)
		}
	}
	return len(unready) == 0, unready
}
