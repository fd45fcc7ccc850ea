package election

import (
	"context"
	"sync/atomic"
	"time"
)

// validity says until when a term may be relied on. It is immutable: a renewal replaces it.
type validity struct {
	sent  instant // when the last successful renewal was sent
	limit time.Duration
}

// remaining is the rest of the validity at now, never negative.
func (v *validity) remaining(now instant) time.Duration {
	return max(v.limit-v.sent.until(now), 0)
}

// term is one unbroken period of leadership. Its end does not depend on the elector's loop: another
// goroutine watches the clocks, so a loop that hangs in a request or an observer cannot extend it.
type term struct {
	over   <-chan struct{} // closed when the term has ended
	cancel context.CancelCauseFunc
	slot   *atomic.Pointer[validity]
	clock  Clock
	tick   time.Duration // the longest time between two looks at the clocks
	done   chan struct{} // closed when the goroutine has ended
}

// startTerm publishes the validity in slot and begins to watch it. The context is what the leader's
// function gets: it ends with the error that Run returns as its cause.
func startTerm(parent context.Context, slot *atomic.Pointer[validity], clock Clock, v *validity, tick time.Duration) (context.Context, *term) {
	ctx, cancel := context.WithCancelCause(parent)
	t := &term{over: ctx.Done(), cancel: cancel, slot: slot, clock: clock, tick: tick, done: make(chan struct{})}
	slot.Store(v)
	go t.expire()
	return ctx, t
}

// extend replaces the validity with one counted from sent. It fails when the term has ended
// already: a term never comes back.
func (t *term) extend(sent instant) bool {
	old := t.slot.Load()
	if old == nil || old.remaining(read(t.clock)) == 0 {
		return false
	}
	if old.sent.until(sent) == 0 {
		return true // a confirmation of a write older than the last one
	}
	return t.slot.CompareAndSwap(old, &validity{sent: sent, limit: old.limit})
}

// end shuts the term: first what the gate reads, then the context. It reports whether the term was
// still valid until then, and has waited for the goroutine when it returns.
func (t *term) end(cause error) bool {
	v := t.slot.Swap(nil)
	valid := v != nil && v.remaining(read(t.clock)) > 0
	t.cancel(cause)
	<-t.done
	return valid
}

// expire ends the term when its validity is over. It looks at the clocks at least every tick,
// because the timers of the runtime stand still while the machine is suspended.
func (t *term) expire() {
	defer close(t.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-t.over:
			return
		case <-timer.C:
		}
		v := t.slot.Load()
		if v == nil {
			return // end is under way
		}
		rest := v.remaining(read(t.clock))
		if rest > 0 {
			timer.Reset(min(rest, t.tick))
			continue
		}
		if t.slot.CompareAndSwap(v, nil) {
			t.cancel(loss{reason: ReasonDeadline}.err())
			return
		}
		timer.Reset(0) // renewed in between
	}
}
