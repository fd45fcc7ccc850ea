package engine

import (
	"context"
	"slices"
	"strings"
	"time"
)

// The time between two looks at the records of a replica that does not know those that it expects:
// doubled from the first to the second, for so many looks. The leader may expect others for good:
// it has another config, or goes on with what is left of an earlier one.
const (
	firstLearnInterval = time.Second
	lastLearnInterval  = time.Minute
	learnLooks         = 10
)

// learnRecords reads what is recorded, until everything is as this replica would record it: then
// the first calls of a term need no answer of the API server. It goes on until ctx ends, and gives
// up in between until this replica would record something else.
func (e *Engine) learnRecords(ctx context.Context) {
	if e.shared.records == nil {
		return
	}
	interval, looks, wanted := firstLearnInterval, 0, ""
	for {
		changed := e.shared.changes.next()
		var again <-chan time.Time
		lacking := e.lackingRecords()
		if lacking != wanted {
			interval, looks, wanted = firstLearnInterval, 0, lacking
		}
		if lacking != "" && looks < learnLooks {
			_ = e.shared.records.Learn(ctx) // An error is said when they are needed.
			again, changed, interval, looks = time.After(interval), nil, min(2*interval, lastLearnInterval), looks+1
		}
		select {
		case <-again:
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// lackingRecords names the records that this replica expects and does not know, with what they
// would say. It writes none of them, because it does not lead; else it lacks nothing.
func (e *Engine) lackingRecords() string {
	e.mu.Lock()
	_, working := e.terms[UnderLease]
	e.mu.Unlock()
	if working {
		return ""
	}
	var lacking []string
	for _, c := range e.all() {
		current, next := c.rollout.revisions()
		if next != nil {
			current = next
		}
		if current == nil || current.composing == nil {
			continue
		}
		if id, scope := current.def.IDs()[0], current.composing.scope(); !e.shared.records.Expects(id, scope) {
			lacking = append(lacking, id+" "+scope.Digest)
		}
	}
	slices.Sort(lacking)
	return strings.Join(lacking, "\n")
}
