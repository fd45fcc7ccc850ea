package engine

import (
	"context"
	"sync"
)

// Settle waits until no changed definition is about to be replaced: each one has been, or waits for
// something that Pending names. It is for the beginning of a term, so that nothing is handled by an
// older revision than by the leader before. It returns after ten seconds at the latest, and when
// ctx or drain ends.
func (e *Engine) Settle(ctx context.Context, drain Drain) {
	ctx, cancel := context.WithTimeout(ctx, slowSync)
	defer cancel()
	for {
		changed := e.shared.changes.next()
		if !e.unsettled() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-drain:
			return
		case <-changed:
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

// changes wakes those who wait for some definition to change. It is safe for concurrent use.
type changes struct {
	mu      sync.Mutex
	waiting chan struct{} // nil while nobody waits
}

// next returns a channel that is closed after the next change.
func (c *changes) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = make(chan struct{})
	}
	return c.waiting
}

// announce says that some definition has changed.
func (c *changes) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil {
		close(c.waiting)
		c.waiting = nil
	}
}
