package compose

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// isHeld reports whether the brake holds something that a plan would delete.
func isHeld(ops []Op) bool {
	return slices.ContainsFunc(ops, func(op Op) bool { return op.Reason == ReasonPruneHeld })
}

// holds reports whether the brake holds something of a parent.
func holds(b *Brake, parent types.UID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, held := b.held[parent]
	return held
}

// lookAtBrake lets the parent out of what is held if it is to lose nothing any more, and reports
// whether it counts there still.
func lookAtBrake(p *pass) (counts bool) {
	putOff := slices.ContainsFunc(p.ops, func(op Op) bool { return op.Reason == ReasonHeld })
	switch {
	case p.meta.DeletionTimestamp != nil:
	case isHeld(p.ops):
		return true
	case putOff, p.rollout.held && slices.ContainsFunc(p.ops, isDelete), p.err != nil && !handlers.IsTerminal(p.err):
		return doubt(p.Memory.Brake, p.parent.UID, p.now())
	}
	p.Memory.Brake.release(p.parent.UID)
	return false
}

// countHeld counts whether the brake counts the parent, and leaves all else that is counted of it,
// and said.
func countHeld(p *pass, held bool) {
	p.count(recount(p.Memory, p.parent.UID, func(now *counts) {
		if now.held = 0; held {
			now.held = 1
		}
	}))
	attending{p}.sayReleased()
}

// doubt notes that it is not known at the moment what a parent is to lose: its composer fails, or
// something else holds the deletions. What was known goes on counting for as long as deletions do,
// so that a failure now and then ends no hold, and one that lasts holds nobody else. It reports
// whether the parent counts.
func doubt(b *Brake, parent types.UID, now time.Time) bool {
	b.mu.Lock()
	_, held := b.held[parent]
	if _, noted := b.unsure[parent]; held && !noted {
		if b.unsure == nil {
			b.unsure = map[types.UID]time.Time{}
		}
		b.unsure[parent] = now
	}
	ended := dropDoubts(b, now)
	_, held = b.held[parent]
	b.mu.Unlock()
	if ended != nil {
		ended()
	}
	return held
}

// dropDoubts drops the parents of which it has not been known for long what they are to lose. It
// returns what to call if the hold ends by that; nil for nothing. b.mu is held.
func dropDoubts(b *Brake, now time.Time) (notify func()) {
	for parent, since := range b.unsure {
		if now.Sub(since) >= brakeMinutes*time.Minute {
			b.hold(parent, 0)
		}
	}
	if len(b.held) == 0 {
		return b.end()
	}
	return nil
}
