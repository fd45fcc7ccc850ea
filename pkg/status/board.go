package status

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Observer is told of changes of states; *telemetry.Metrics is one.
type Observer interface {
	// SetState records the state that a definition is in now.
	SetState(definition string, state State)
}

// Board keeps the status of every definition. It is the one place that /readyz, the metrics and the
// status page read. It is safe for concurrent use.
type Board struct {
	observer Observer
	now      func() time.Time

	mu        sync.RWMutex
	statuses  map[string]Status
	synced    map[string]bool
	stopping  bool
	allSynced chan struct{} // closed when every definition has got past its first list
	checks    []readyCheck
	refused   Refusal // of the config that was read last
}

// readyCheck is something that a replica needs before it can do anything.
type readyCheck struct {
	what string
	met  func() bool
}

// NewBoard returns an empty board. observer is called, with the board locked, for every change of a
// state.
func NewBoard(observer Observer) *Board {
	return &Board{observer: observer, now: func() time.Time { return time.Now().UTC() }, statuses: map[string]Status{}, synced: map[string]bool{}, allSynced: make(chan struct{})}
}

// Set records a definition's state and reports whether state or reason differ from what they were.
// The reason is made one line, as it often is the error of a plugin.
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
		b.observer.SetState(definition, state)
	}
	b.statuses[definition] = Status{State: state, Reason: reason, Since: since}
	if state != Syncing && !b.synced[definition] {
		b.synced[definition] = true
		b.closeIfSynced()
	}
	return true
}

// Remove takes a definition off the board. The Observer is not called: what it keeps of the
// definition is for the caller to remove.
func (b *Board) Remove(definition string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.statuses, definition)
	delete(b.synced, definition)
	b.closeIfSynced()
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

// Synced returns a channel that is closed once every definition has got past its first list, or is
// known to be unable to: the caches of this replica are as warm as they can be. It is to be called
// after all definitions have a status, and again for those that come later.
func (b *Board) Synced() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.synced) < len(b.statuses) && b.hasSynced() {
		b.allSynced = make(chan struct{})
	}
	b.closeIfSynced()
	return b.allSynced
}

// hasSynced reports whether allSynced is closed.
func (b *Board) hasSynced() bool {
	select {
	case <-b.allSynced:
		return true
	default:
		return false
	}
}

// closeIfSynced closes allSynced when there is nothing to await any more.
func (b *Board) closeIfSynced() {
	if len(b.synced) == len(b.statuses) && !b.hasSynced() {
		close(b.allSynced)
	}
}

// AddReadyCheck makes the replica unready until met returns true. what names it in the answer. met
// has to be safe for concurrent use and quick. It may use the board.
func (b *Board) AddReadyCheck(what string, met func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.checks = append(b.checks, readyCheck{what: what, met: met})
}

// SetRefused records why the config that was read last does not run, with a line for each mistake;
// "" if it does.
func (b *Board) SetRefused(reason string) {
	refused := newRefusal(reason)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case refused.Total == 0:
		b.refused = Refusal{}
	case !refused.same(b.refused):
		refused.Since = b.now()
		b.refused = refused
	}
}

// Refused returns why the config that was read last does not run, and since when. The caller must
// not change it.
func (b *Board) Refused() Refusal {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.refused
}

// Stop records that the daemon is shutting down: it is not ready from then on.
func (b *Board) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopping = true
}

// Ready reports whether the replica could do its work: every definition has got past its first
// list, or is known to be unable to, and everything that is required is there. One bad definition
// therefore never makes a replica unready. unready names what is still awaited.
func (b *Board) Ready() (ok bool, unready []string) {
	awaited, checks, stopping := b.awaited()
	if stopping {
		return false, []string{"shutting down"}
	}
	for _, r := range checks { // Without the lock, since they may take others.
		if !r.met() {
			awaited = append(awaited, r.what)
		}
	}
	return len(awaited) == 0, awaited
}

// awaited returns the definitions that have not got past their first list, sorted, and what else
// readiness depends on.
func (b *Board) awaited() (definitions []string, checks []readyCheck, stopping bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for name := range b.statuses {
		if !b.synced[name] {
			definitions = append(definitions, name)
		}
	}
	slices.Sort(definitions)
	return definitions, b.checks, b.stopping
}
