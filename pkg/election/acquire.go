package election

import (
	"context"
	"math"
	"time"
)

// acquirer is the first half of a Run: it waits for the Lease to be free and takes it.
type acquirer struct {
	*session
	pollAt time.Time // when the Lease is to be read; zero: not by time
	readAt time.Time // when it was last read
	tryAt  time.Time // no attempt to take the Lease before this
}

// run returns the validity of the term that has been won, or nil when it was asked to stop.
func (a *acquirer) run(ctx context.Context, stop stopSignal) *validity {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		a.turn()
		if stop.given() {
			a.stopAcquiring(ctx)
			return nil
		}
		a.sendDue(ctx)
		timer.Reset(a.nextTurn())
		select {
		case <-stop:
		case r := <-a.requester.replies:
			a.requester.arrived()
			v := a.onReply(r)
			if v != nil && !stop.given() {
				return v
			}
			if v != nil {
				a.releaseUnused(ctx)
			}
		case event := <-a.watchEvents:
			a.onWatchEvent(event)
		case <-timer.C:
		}
	}
}

// sendDue starts the request that is due, if any.
func (a *acquirer) sendDue(ctx context.Context) {
	if a.requester.busy() {
		return
	}
	now := time.Now()
	if a.untilFree() == 0 && !now.Before(a.tryAt) {
		a.take(ctx)
		return
	}
	if at := a.pollTime(now); !at.IsZero() && !now.Before(at) {
		a.send(ctx, a.opts.requestTimeout(), opRead, write{}, nil)
	}
}

// untilFree returns after how much time the Lease may be taken; zero means now.
func (a *acquirer) untilFree() time.Duration {
	return a.observed.wait(a.opts.Clock.Boot(), a.own())
}

// take sends the compare-and-swap that makes this process the holder. A creation compares nothing,
// so only a process that never saw a Lease creates it for itself. Otherwise it leaves a tombstone:
// see docs/decisions/0004.
func (a *acquirer) take(ctx context.Context) {
	sent := a.now()
	op, w := opAcquire, a.claim(sent, sent.wall.UnixMicro(), a.nextTransitions())
	if a.observed.lease == nil && !a.observed.neverSeen(sent.boot, a.opts.gap()) {
		op = opTombstone
		w.rec.holder = a.opts.Identity + tombstone
		w.rec.seconds = int32(a.observed.tenure.careful(a.observed.rec) / time.Second)
	}
	a.send(ctx, a.opts.requestTimeout(), op, w, a.observed.lease)
}

// tombstone ends the holderIdentity of a Lease that stands for a deleted one. It keeps a process
// with the identity before it from taking the Lease for its own.
const tombstone = "_vacant"

// nextTransitions is the number of changes of the holder after the next one.
func (a *acquirer) nextTransitions() int32 {
	n := max(a.observed.rec.transitions, 0) // the API refuses a negative number
	if a.observed.rec == (record{}) || a.observed.rec.holder == a.opts.Identity {
		return n
	}
	return min(n, math.MaxInt32-1) + 1
}

// onReply takes the reply to a request of a candidate. It returns a validity when the Lease was
// won.
func (a *acquirer) onReply(r reply) *validity {
	switch {
	case r.op == opAcquire && r.err == nil:
		return a.won(r)
	case r.op == opTombstone && r.err == nil:
		a.succeed(r.op)
		a.observe(r.lease)
	case r.op == opAcquire, r.op == opTombstone:
		a.onRefusal(r)
	case r.err == nil:
		a.succeed(r.op)
		if a.rewound(r) {
			a.opts.Logger.Info("the API server shows an older state of the lease than before; starting over")
			a.forget()
		}
		a.observed.stale = false
		a.observe(r.lease)
		a.polled(nil)
	case gone(r.err):
		a.succeed(r.op)
		a.observeAbsence("")
		a.polled(nil)
	default:
		a.complain(r)
		a.polled(r.err)
	}
	return nil
}

// onRefusal handles an attempt to take the Lease that has failed.
func (a *acquirer) onRefusal(r reply) {
	now := time.Now()
	switch {
	case refused(r.err):
		// Another one was faster. The watch shows the holder, or else the reading does.
		a.writeLog.abort(r.write)
		a.observed.stale = a.observed.rv == r.viewed // nothing newer was seen while it was under way
		a.pollAt = now
		if half := a.readAt.Add(a.opts.RetryPeriod / 2); a.connected || half.After(now) {
			a.pollAt = later(a.opts.RetryPeriod / 2)
		}
	case answered(r.err):
		a.writeLog.abort(r.write)
		a.complain(r)
		a.tryAt = later(max(a.opts.RetryPeriod, suggestedDelay(r.err, 4*a.opts.RetryPeriod)))
	default:
		a.complain(r)
		a.tryAt = later(max(a.opts.RetryPeriod/4, suggestedDelay(r.err, 4*a.opts.RetryPeriod)))
	}
}

// won records that this process holds the Lease.
func (a *acquirer) won(r reply) *validity {
	a.succeed(r.op)
	a.observe(r.lease)
	stored := recordOf(r.lease)
	if !stored.sameTenure(r.write.rec) || stored.seconds < r.write.rec.seconds {
		a.opts.Logger.Info("the lease was not stored as written; something in the API server changes it")
		a.tryAt = later(a.opts.RetryPeriod)
		return nil
	}
	a.writeLog.confirm(r.write, r.lease)
	v := &validity{sent: r.write.sent, limit: a.opts.RenewDeadline}
	if v.remaining(a.now()) == 0 {
		return nil // the answer is too old to lead on; the Lease is recognised as own and taken again
	}
	return v
}

// onWatchEvent handles what the watch reports to a candidate.
func (a *acquirer) onWatchEvent(event watchEvent) {
	switch event.kind {
	case watchConnected:
		a.watchOpened()
		a.pollAt = time.Now() // a deletion before the watch was open is not reported by it
	case watchBroken:
		a.disconnected(event.err)
		if a.pollAt.IsZero() {
			a.pollAt = later(a.opts.RetryPeriod)
		}
	case watchChanged:
		a.observeWatched(event.lease, a.gapless)
		a.gapless = true
	case watchDeleted:
		a.observeAbsence(event.lease.ResourceVersion)
	}
}

// polled sets the time of the next reading after one that has ended with err.
func (a *acquirer) polled(err error) {
	a.readAt = time.Now()
	a.pollAt = time.Time{}
	if !a.connected || err != nil {
		a.pollAt = later(max(a.opts.RetryPeriod, suggestedDelay(err, 4*a.opts.RetryPeriod)))
	}
}

// pollTime returns when the Lease is to be read; zero means that the watch is enough. A held Lease
// is also read when half of its time has passed without a change: the watch may deliver nothing.
func (a *acquirer) pollTime(now time.Time) time.Time {
	if !a.pollAt.IsZero() {
		return a.pollAt
	}
	boot, until := a.opts.Clock.Boot(), a.observed.until()
	if a.observed.lease == nil || until <= boot && !a.observed.rec.held() {
		return time.Time{}
	}
	if rest := a.observed.since + (until-a.observed.since)/2 - boot; rest > 0 {
		return now.Add(rest)
	}
	return a.readAt.Add(a.opts.RetryPeriod)
}

// nextTurn returns for how long the loop may sleep. It wakes up at least every retry period, since
// timers stand still while the machine is suspended.
func (a *acquirer) nextTurn() time.Duration {
	if a.requester.busy() {
		return a.opts.RetryPeriod
	}
	now := time.Now()
	turn := a.opts.RetryPeriod
	if at := a.pollTime(now); !at.IsZero() {
		turn = min(turn, at.Sub(now))
	}
	if wait := a.untilFree(); wait != maxWait {
		turn = min(turn, max(wait, a.tryAt.Sub(now)))
	}
	return max(turn, 0)
}

// stopAcquiring ends the candidacy. An attempt that is under way may still succeed.
func (a *acquirer) stopAcquiring(ctx context.Context) {
	if a.requester.op != opAcquire {
		return
	}
	if r, ok := a.requester.wait(2 * a.opts.requestTimeout()); ok && r.err == nil && a.won(r) != nil {
		a.releaseUnused(ctx)
	}
}

// releaseUnused releases a Lease that was won too late, so that no candidate waits for a process
// that never led.
func (a *acquirer) releaseUnused(ctx context.Context) {
	if err := a.release(ctx); err != nil {
		a.opts.Logger.Error(err, "leaving the lease to expire")
	}
}
