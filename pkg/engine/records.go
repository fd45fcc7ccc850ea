package engine

import (
	"context"
	"time"
)

// The time between two looks at the records of a replica that does not know those that it expects:
// doubled from the first to the second.
const (
	firstLearnInterval = time.Second
	lastLearnInterval  = time.Minute
)

// learnRecords reads what is recorded, until everything is as this replica would record it: then
// the first calls of a term need no answer of the API server. It goes on until ctx ends.
func (e *Engine) learnRecords(ctx context.Context) {
	if e.shared.records == nil {
		return
	}
	interval := firstLearnInterval
	for {
		changed := e.shared.changes.next()
		var again <-chan time.Time
		if e.lacksRecords() {
			_ = e.shared.records.Learn(ctx) // An error is said when they are needed.
			again, changed, interval = time.After(interval), nil, min(2*interval, lastLearnInterval)
		} else {
			interval = firstLearnInterval
		}
		select {
		case <-again:
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// lacksRecords reports whether this replica does not know a record that it expects, and does not
// write it either, because it does not lead.
func (e *Engine) lacksRecords() bool {
	e.mu.Lock()
	_, working := e.terms[UnderLease]
	e.mu.Unlock()
	if working {
		return false
	}
	for _, c := range e.all() {
		current, next := c.rollout.revisions()
		if next != nil {
			current = next
		}
		if current != nil && current.composing != nil && !e.shared.records.Expects(current.def.IDs()[0], current.composing.scope()) {
			return true
		}
	}
	return false
}
