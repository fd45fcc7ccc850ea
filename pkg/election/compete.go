package election

import (
	"context"
	"math"
	"time"
)

// compete waits for the Lease to be free and takes it. It returns the validity of the term that has been won, or nil when ctx
// has ended.
func (s *session) compete(ctx, work context.Context) *validity {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.turn()
		if ctx.Err() != nil {
			s.withdraw(work)
			return nil
		}
		s.strive(work)
		timer.Reset(s.nextTurn())
		select {
		case <-ctx.Done():
		case r := <-s.courier.replies:
			s.courier.arrived()
			if v := s.hear(r); v != nil && ctx.Err() == nil {
				return v
			} else if v != nil {
				s.giveBack(work)
			}
		case sg := <-s.sightings:
			s.watched(sg)
		case <-timer.C:
		}
	}
}

// strive starts the request that is due, if any.
func (s *session) strive(work context.Context) {
	if s.courier.busy() {
		return
	}
	now := time.Now()
	if s.takeable() == 0 && !now.Before(s.tryAt) {
		s.take(work)
		return
	}
	if at := s.pollTime(now); !at.IsZero() && !now.Before(at) {
		s.ask(work, s.opts.requestTimeout(), opRead, write{}, nil)
	}
}

// takeable returns after how much time the Lease may be taken; zero means now.
func (s *session) takeable() time.Duration {
	return s.view.wait(s.opts.Clock.Boot(), s.own())
}

// take sends the compare-and-swap that makes this process the holder.
//
// A creation compares nothing: when the Lease was deleted by hand, its holder may lead on until it notices, and that holder may
// be one that this process has never seen. Only on the first look of a process is absence taken for a fresh start. Later the
// Lease is created for nobody, which tells the old holder, and everybody waits for the whole of its duration.
func (s *session) take(work context.Context) {
	sent := s.now()
	op, w := opAcquire, s.claim(sent, sent.wall.UnixMicro(), s.nextTransitions())
	if s.view.lease == nil && !s.view.untouched(sent.boot, s.opts.gap()) {
		op = opPlant
		w.rec.holder = s.opts.Identity + vacant
		w.rec.seconds = int32(s.view.tenure.careful(s.view.rec) / time.Second)
	}
	s.ask(work, s.opts.requestTimeout(), op, w, s.view.lease)
}

// vacant ends the holderIdentity of a Lease that stands for a deleted one. It keeps a process with the identity before it from
// taking the Lease for its own.
const vacant = "_vacant"

// nextTransitions is the number of changes of the holder after the next one.
func (s *session) nextTransitions() int32 {
	n := max(s.view.rec.transitions, 0) // the API refuses a negative number
	if s.view.rec == (record{}) || s.view.rec.holder == s.opts.Identity {
		return n
	}
	return min(n, math.MaxInt32-1) + 1
}

// hear takes the reply to a request of a candidate. It returns a validity when the Lease was won.
func (s *session) hear(r reply) *validity {
	switch {
	case r.op == opAcquire && r.err == nil:
		return s.won(r)
	case r.op == opPlant && r.err == nil:
		s.succeed(r.op)
		s.look(r.lease)
	case r.op == opAcquire, r.op == opPlant:
		s.missed(r)
	case r.err == nil:
		s.succeed(r.op)
		if s.rewound(r) {
			s.opts.Logger.Info("the API server shows an older state of the lease than before; starting over")
			s.forget()
		}
		s.view.stale = false
		s.look(r.lease)
		s.polled(nil)
	case gone(r.err):
		s.succeed(r.op)
		s.lookAtNothing("")
		s.polled(nil)
	default:
		s.complain(r)
		s.polled(r.err)
	}
	return nil
}

// missed takes in that an attempt to take the Lease has failed.
func (s *session) missed(r reply) {
	now := time.Now()
	switch {
	case refused(r.err):
		// Somebody was faster. The watch tells who; the reading is for the case that it does not.
		s.ledger.retract(r.write)
		s.view.stale = s.view.rv == r.viewed // nothing newer was seen while it was under way
		s.pollAt = now
		if half := s.readAt.Add(s.opts.RetryPeriod / 2); s.connected || half.After(now) {
			s.pollAt = s.later(s.opts.RetryPeriod / 2)
		}
	case answered(r.err):
		s.ledger.retract(r.write)
		s.complain(r)
		s.tryAt = s.later(max(s.opts.RetryPeriod, suggestedDelay(r.err, 4*s.opts.RetryPeriod)))
	default:
		s.complain(r)
		s.tryAt = s.later(max(s.opts.RetryPeriod/4, suggestedDelay(r.err, 4*s.opts.RetryPeriod)))
	}
}

// won takes in that the Lease is this process's now.
func (s *session) won(r reply) *validity {
	s.succeed(r.op)
	s.look(r.lease)
	stored := recordOf(r.lease)
	if !stored.sameTenure(r.write.rec) || stored.seconds < r.write.rec.seconds {
		s.opts.Logger.Info("the lease was not stored as written; something in the API server changes it")
		s.tryAt = s.later(s.opts.RetryPeriod)
		return nil
	}
	s.ledger.confirm(r.write, r.lease)
	v := &validity{sent: r.write.sent, limit: s.opts.RenewDeadline}
	if v.remaining(s.now()) == 0 {
		return nil // the answer is too old to lead on; the Lease is recognised as own and taken again
	}
	return v
}

// watched takes in what the watch reports to a candidate.
func (s *session) watched(sg sighting) {
	switch sg.kind {
	case sightingConnected:
		s.watchStands()
		s.pollAt = time.Now() // a deletion before the watch stood is not reported by it
	case sightingBroken:
		s.disconnected(sg.err)
	case sightingChanged:
		s.lookWatching(sg.lease, s.gapless)
		s.gapless = true
	case sightingDeleted:
		s.lookAtNothing(sg.lease.ResourceVersion)
	}
}

// polled sets the time of the next reading after one that has ended with err.
func (s *session) polled(err error) {
	s.readAt = time.Now()
	s.pollAt = time.Time{}
	if !s.connected || err != nil {
		s.pollAt = s.later(max(s.opts.RetryPeriod, suggestedDelay(err, 4*s.opts.RetryPeriod)))
	}
}

// pollTime returns when the Lease is to be read; zero means that the watch is enough. A held Lease that has not changed for half
// its duration is read, too: either its holder is in trouble, or the watch stands but delivers nothing.
func (s *session) pollTime(now time.Time) time.Time {
	if !s.pollAt.IsZero() {
		return s.pollAt
	}
	boot, until := s.opts.Clock.Boot(), s.view.until()
	if s.view.lease == nil || until <= boot && !s.view.rec.held() {
		return time.Time{}
	}
	if rest := s.view.since + (until-s.view.since)/2 - boot; rest > 0 {
		return now.Add(rest)
	}
	return s.readAt.Add(s.opts.RetryPeriod)
}

// nextTurn returns for how long the loop may sleep. It wakes up at least every retry period, since timers stand still while the
// machine is suspended.
func (s *session) nextTurn() time.Duration {
	if s.courier.busy() {
		return s.opts.RetryPeriod
	}
	now := time.Now()
	turn := s.opts.RetryPeriod
	if at := s.pollTime(now); !at.IsZero() {
		turn = min(turn, at.Sub(now))
	}
	if wait := s.takeable(); wait != maxWait {
		turn = min(turn, max(wait, s.tryAt.Sub(now)))
	}
	return max(turn, 0)
}

// later is a moment after about d.
func (s *session) later(d time.Duration) time.Time { return time.Now().Add(spread(d)) }

// withdraw ends the candidacy. An attempt that is under way may still succeed.
func (s *session) withdraw(work context.Context) {
	if s.courier.op != opAcquire {
		return
	}
	if r, ok := s.courier.wait(2 * s.opts.requestTimeout()); ok && r.err == nil && s.won(r) != nil {
		s.giveBack(work)
	}
}

// giveBack releases a Lease that was won too late, so that nobody waits for a process that never led.
func (s *session) giveBack(work context.Context) {
	if err := s.release(work); err != nil {
		s.opts.Logger.Error(err, "leaving the lease to expire")
	}
}
