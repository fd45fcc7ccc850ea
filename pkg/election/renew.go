package election

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// renewer is the second half of a Run: it leads for one term and keeps the Lease renewed.
type renewer struct {
	*session
	term *term
	done chan error // of the leader's function

	renewAt  time.Time // when the next renewal is due
	reread   bool      // the Lease has to be read before the next renewal
	failures int       // renewals failed in a row
	lastErr  error     // of the last renewal; nil when it succeeded
}

// lead runs the leader's function for the length of a term, and ends with a release or a loss.
func (s *session) lead(ctx context.Context, stop stopSignal, v *validity, f func(context.Context) error) error {
	termCtx, t := startTerm(context.WithoutCancel(ctx), &s.validity, s.opts.Clock, v, s.opts.RetryPeriod/4)
	s.move(StateLeading)
	if f := s.opts.Observer.Elected; f != nil {
		f(s.writeLog.lease)
	}
	n := &renewer{session: s, term: t, done: make(chan error, 1), renewAt: time.Now().Add(s.opts.RetryPeriod)}
	s.working.Store(true)
	go func() {
		err := f(termCtx)
		s.working.Store(false)
		n.done <- err
	}()
	s.opts.Logger.Info("became leader", "transitions", s.writeLog.last.rec.transitions)
	return n.run(ctx, stop)
}

// run renews until the term ends one way or the other.
func (n *renewer) run(ctx context.Context, stop stopSignal) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		n.turn()
		if n.Remaining() == 0 { // the term's own goroutine may not have looked at the clocks yet
			return n.lose(loss{reason: ReasonDeadline, cause: n.lastErr})
		}
		n.renewIfDue(ctx)
		timer.Reset(n.untilRenewal())
		var l loss
		select {
		case <-stop:
			stop = nil
			n.move(StateDraining)
			n.opts.Logger.Info("stopping; the lease is renewed until all work has returned")
		case err := <-n.done:
			return n.finish(ctx, err)
		case <-n.term.over:
			l = loss{reason: ReasonDeadline, cause: n.lastErr}
		case r := <-n.requester.replies:
			n.requester.arrived()
			l = n.onReply(r)
		case event := <-n.watchEvents:
			l = n.onWatchEvent(event)
		case <-timer.C:
		}
		if l.reason != "" {
			return n.lose(l)
		}
	}
}

// renewIfDue starts a renewal, or the reading that has to come before it, when its time has come.
func (n *renewer) renewIfDue(ctx context.Context) {
	if n.requester.busy() || time.Now().Before(n.renewAt) {
		return
	}
	timeout := min(n.opts.requestTimeout(), n.Remaining())
	if timeout == 0 {
		return // the next turn of the loop ends the term
	}
	if n.reread {
		n.send(ctx, timeout, opRead, write{}, nil)
		return
	}
	last := n.writeLog.last.rec
	w := n.claim(n.now(), last.acquired, last.transitions)
	if w.rec.renewed == last.renewed {
		w.rec.renewed++ // a standby sees a renewal only if something changes
	}
	n.renewAt = time.Now().Add(n.opts.RetryPeriod)
	n.send(ctx, timeout, opRenew, w, n.writeLog.lease)
}

// untilRenewal returns for how long the loop may sleep.
func (n *renewer) untilRenewal() time.Duration {
	if n.requester.busy() {
		return n.opts.RetryPeriod
	}
	return max(time.Until(n.renewAt), 0)
}

// onReply takes the reply to a renewal, or to the reading that a failed one has made necessary.
func (n *renewer) onReply(r reply) loss {
	if r.op == opRenew {
		if f := n.opts.Observer.Renewed; f != nil {
			f(r.latency, r.err)
		}
	}
	switch {
	case r.op == opRenew && r.err == nil:
		return n.renewed(r)
	case r.op == opRenew && (refused(r.err) || gone(r.err)):
		// The Lease was changed or deleted. What that means is decided by reading it.
		n.lastErr, n.reread = r.err, true
		n.retry(0)
	case r.op == opRead && r.err == nil:
		n.reread = false
		if n.rewound(r) {
			n.forget()
			n.observe(r.lease)
			return loss{reason: ReasonEdited, holder: n.observed.rec.holder}
		}
		return n.examine(r.lease, true)
	case r.op == opRead && gone(r.err):
		return n.deleted("")
	default:
		n.lastErr = r.err
		n.complain(r)
		n.retry(max(n.opts.RetryPeriod/16, suggestedDelay(r.err, n.opts.RetryPeriod)))
	}
	return loss{}
}

// renewed records a renewal that was stored.
func (n *renewer) renewed(r reply) loss {
	stored := recordOf(r.lease)
	if !stored.sameTenure(r.write.rec) || stored.seconds < r.write.rec.seconds {
		n.observe(r.lease)
		return n.foreign(stored)
	}
	n.writeLog.confirm(r.write, r.lease)
	n.succeed(r.op)
	return n.extend(r.write)
}

// extend counts the term's validity from the sending of a write that is known to be stored.
func (n *renewer) extend(w write) loss {
	n.failures, n.lastErr = 0, nil
	if !n.term.extend(w.sent) {
		return loss{reason: ReasonDeadline}
	}
	n.see(w.rec)
	return loss{}
}

// retry sets the time of the next attempt after a failure: after wait, which doubles with every
// failure in a row from the third on, up to RetryPeriod.
func (n *renewer) retry(wait time.Duration) {
	n.failures++
	if n.failures > 2 {
		wait = max(wait, n.opts.RetryPeriod/16) << min(n.failures-2, 4)
	}
	n.renewAt = later(min(wait, n.opts.RetryPeriod))
}

// deleted handles the deletion of the Lease. It is not created anew: another
// process may have done that.
func (n *renewer) deleted(rv string) loss {
	n.observe(n.writeLog.lease)
	n.observeAbsence(rv)
	return loss{reason: ReasonDeleted}
}

// onWatchEvent handles what the watch reports to a leader.
func (n *renewer) onWatchEvent(event watchEvent) loss {
	switch event.kind {
	case watchConnected:
		n.watchOpened()
	case watchBroken:
		n.disconnected(event.err)
	case watchChanged:
		n.gapless = true
		return n.examine(event.lease, false)
	case watchDeleted:
		sign, ok := order(event.lease.ResourceVersion, n.writeLog.lease.ResourceVersion)
		if ok && sign > 0 {
			return n.deleted(event.lease.ResourceVersion)
		}
		if !ok {
			n.reread, n.renewAt = true, time.Now()
		}
	}
	return loss{}
}

// examine decides what a state of the Lease means for the term. A state that was read is the
// present one, while one from the watch may be history.
func (n *renewer) examine(lease *coordinationv1.Lease, read bool) loss {
	v, w := n.writeLog.classify(lease)
	switch {
	case v == originOwn:
		pending := w != n.writeLog.last
		n.writeLog.confirm(w, lease)
		if pending {
			return n.extend(w) // a renewal whose reply was lost
		}
	case v == originForeign, v == originUnknown && read:
		n.observe(lease)
		return n.foreign(recordOf(lease))
	case v == originUnknown:
		n.reread, n.renewAt = true, time.Now()
	}
	return loss{}
}

// foreign says why a Lease with such a record ends the term.
func (n *renewer) foreign(rec record) loss {
	switch {
	case rec.holder == n.opts.Identity && rec.acquired != n.writeLog.last.rec.acquired:
		return loss{reason: ReasonShared, holder: rec.holder}
	case rec.holder == n.opts.Identity, rec.holder == "":
		return loss{reason: ReasonEdited, holder: rec.holder}
	default:
		return loss{reason: ReasonTaken, holder: rec.holder}
	}
}
