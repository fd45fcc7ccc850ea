package election

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// hold leads for one term: it runs lead, keeps the Lease renewed, and ends with a release or a loss.
func (s *session) hold(ctx, work context.Context, v *validity, lead func(context.Context) error) error {
	termCtx, t := startTerm(context.WithoutCancel(ctx), &s.validity, s.opts.Clock, v, s.opts.RetryPeriod/4)
	s.move(StateLeading)
	if f := s.opts.Observer.Elected; f != nil {
		f(s.ledger.lease)
	}
	s.renewAt, s.reread, s.failures, s.lastErr = time.Now().Add(s.opts.RetryPeriod), false, 0, nil
	done := make(chan error, 1)
	s.working.Store(true)
	go func() {
		err := lead(termCtx)
		s.working.Store(false)
		done <- err
	}()
	s.opts.Logger.Info("became leader", "transitions", s.ledger.last.rec.transitions)
	return s.keep(ctx, work, t, done)
}

// keep renews until the term ends one way or the other.
func (s *session) keep(ctx, work context.Context, t *term, done <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	stop := ctx.Done()
	for {
		s.turn()
		if s.Remaining() == 0 { // the term's own goroutine may not have looked at the clocks yet
			return s.lose(t, loss{reason: ReasonDeadline, cause: s.lastErr}, done)
		}
		s.renewIfDue(work)
		timer.Reset(s.untilRenewal())
		var l loss
		select {
		case <-stop:
			stop = nil
			s.move(StateDraining)
			s.opts.Logger.Info("stopping; the lease is renewed until all work has returned")
		case err := <-done:
			return s.finish(work, t, err)
		case <-t.over:
			l = loss{reason: ReasonDeadline, cause: s.lastErr}
		case r := <-s.courier.replies:
			s.courier.arrived()
			l = s.answered(r, t)
		case sg := <-s.sightings:
			l = s.sighted(sg, t)
		case <-timer.C:
		}
		if l.reason != "" {
			return s.lose(t, l, done)
		}
	}
}

// renewIfDue starts a renewal, or the reading that has to come before it, when its time has come.
func (s *session) renewIfDue(work context.Context) {
	if s.courier.busy() || time.Now().Before(s.renewAt) {
		return
	}
	timeout := min(s.opts.requestTimeout(), s.Remaining())
	if timeout == 0 {
		return // the next turn of the loop ends the term
	}
	if s.reread {
		s.ask(work, timeout, opRead, write{}, nil)
		return
	}
	last := s.ledger.last.rec
	w := s.claim(s.now(), last.acquired, last.transitions)
	if w.rec.renewed == last.renewed {
		w.rec.renewed++ // a standby sees a renewal only if something changes
	}
	s.renewAt = time.Now().Add(s.opts.RetryPeriod)
	s.ask(work, timeout, opRenew, w, s.ledger.lease)
}

// untilRenewal returns for how long the loop may sleep.
func (s *session) untilRenewal() time.Duration {
	if s.courier.busy() {
		return s.opts.RetryPeriod
	}
	return max(time.Until(s.renewAt), 0)
}

// answered takes the reply to a renewal, or to the reading that a failed one has made necessary.
func (s *session) answered(r reply, t *term) loss {
	if r.op == opRenew {
		if f := s.opts.Observer.Renewed; f != nil {
			f(r.latency, r.err)
		}
	}
	switch {
	case r.op == opRenew && r.err == nil:
		return s.renewed(r, t)
	case r.op == opRenew && (refused(r.err) || gone(r.err)):
		// The Lease was changed or deleted. What that means is decided by reading it.
		s.lastErr, s.reread = r.err, true
		s.repeat(0)
	case r.op == opRead && r.err == nil:
		s.reread = false
		if s.rewound(r) {
			s.forget()
			s.look(r.lease)
			return loss{reason: ReasonEdited, holder: s.view.rec.holder}
		}
		return s.judge(r.lease, true, t)
	case r.op == opRead && gone(r.err):
		return s.deleted("")
	default:
		s.lastErr = r.err
		s.complain(r)
		s.repeat(max(s.opts.RetryPeriod/16, suggestedDelay(r.err, s.opts.RetryPeriod)))
	}
	return loss{}
}

// renewed takes in a renewal that was stored.
func (s *session) renewed(r reply, t *term) loss {
	stored := recordOf(r.lease)
	if !stored.sameTenure(r.write.rec) || stored.seconds < r.write.rec.seconds {
		s.look(r.lease)
		return s.foreign(stored)
	}
	s.ledger.confirm(r.write, r.lease)
	s.succeed(r.op)
	return s.prolong(r.write, t)
}

// prolong counts the term's validity from the sending of a write that is known to be stored.
func (s *session) prolong(w write, t *term) loss {
	s.failures, s.lastErr = 0, nil
	if !t.extend(w.sent) {
		return loss{reason: ReasonDeadline}
	}
	return loss{}
}

// repeat sets the time of the next attempt after one that got no answer, or none that helps: after wait, which doubles with
// every failure in a row. The first attempts follow soon, because the connection is a fresh one; later ones keep the server from
// being flooded.
func (s *session) repeat(wait time.Duration) {
	s.failures++
	if s.failures > 2 {
		wait = max(wait, s.opts.RetryPeriod/16) << min(s.failures-2, 4)
	}
	s.renewAt = s.later(min(wait, s.opts.RetryPeriod))
}

// deleted takes in that the Lease does not exist any more. It is not created anew: somebody may have.
func (s *session) deleted(rv string) loss {
	s.look(s.ledger.lease)
	s.lookAtNothing(rv)
	return loss{reason: ReasonDeleted}
}

// sighted takes in what the watch reports to a leader.
func (s *session) sighted(sg sighting, t *term) loss {
	switch sg.kind {
	case sightingConnected:
		s.watchStands()
	case sightingBroken:
		s.disconnected(sg.err)
	case sightingChanged:
		s.gapless = true
		return s.judge(sg.lease, false, t)
	case sightingDeleted:
		sign, ok := order(sg.lease.ResourceVersion, s.ledger.lease.ResourceVersion)
		if ok && sign > 0 {
			return s.deleted(sg.lease.ResourceVersion)
		}
		if !ok {
			s.reread, s.renewAt = true, time.Now()
		}
	}
	return loss{}
}

// judge decides what a state of the Lease means for the term. A state that was read is the present one, while one from the watch
// may be history.
func (s *session) judge(lease *coordinationv1.Lease, read bool, t *term) loss {
	v, w := s.ledger.assess(lease)
	switch {
	case v == verdictMine:
		pending := w != s.ledger.last
		s.ledger.confirm(w, lease)
		if pending {
			return s.prolong(w, t) // a renewal whose reply was lost
		}
	case v == verdictForeign, v == verdictUnclear && read:
		s.look(lease)
		return s.foreign(recordOf(lease))
	case v == verdictUnclear:
		s.reread, s.renewAt = true, time.Now()
	}
	return loss{}
}

// foreign says why a Lease with such a record ends the term.
func (s *session) foreign(rec record) loss {
	switch {
	case rec.holder == s.opts.Identity && rec.acquired != s.ledger.last.rec.acquired:
		return loss{reason: ReasonShared, holder: rec.holder}
	case rec.holder == s.opts.Identity, rec.holder == "":
		return loss{reason: ReasonEdited, holder: rec.holder}
	default:
		return loss{reason: ReasonTaken, holder: rec.holder}
	}
}
