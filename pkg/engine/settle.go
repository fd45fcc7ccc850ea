package engine

import (
	"context"
	"time"
)

// settlePeriod is how often Settle looks.
const settlePeriod = 10 * time.Millisecond

// Settle waits until no changed definition is about to be replaced: each one has been, or waits for
// something that Pending names. It is for the beginning of a term, so that nothing is handled by an
// older revision than by the leader before. It returns after ten seconds at the latest, and when
// ctx or drain ends.
func (e *Engine) Settle(ctx context.Context, drain Drain) {
	ctx, cancel := context.WithTimeout(ctx, slowSync)
	defer cancel()
	tick := time.NewTicker(settlePeriod)
	defer tick.Stop()
	for e.unsettled() {
		select {
		case <-ctx.Done():
			return
		case <-drain:
			return
		case <-tick.C:
		}
	}
}

// unsettled reports whether some changed definition is about to be replaced.
func (e *Engine) unsettled() bool {
	for _, c := range e.all() {
		if current, next := c.rollout.revisions(); current != nil && next != nil && next.pending() == "" {
			return true
		}
	}
	return false
}
