package election

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errReturned is the cause of the end of a term whose work has returned.
var errReturned = errors.New("the leader's work has returned")

// finish ends a term whose work is done and gives the Lease up.
func (n *renewer) finish(ctx context.Context, err error) error {
	if !n.term.end(errReturned) {
		l := loss{reason: ReasonDeadline, cause: n.lastErr}
		n.announce(l)
		return together(l.err(), err)
	}
	draining := n.State() == StateDraining
	kept := err
	if !errors.Is(err, ErrKeepLease) {
		kept = n.release(ctx)
	}
	n.move(StateReleased)
	if f := n.opts.Observer.Released; f != nil {
		f(kept)
	}
	if kept != nil {
		n.opts.Logger.Info("stopped leading; the lease is left to expire", "reason", kept.Error())
	} else {
		n.opts.Logger.Info("stopped leading; the lease is released")
	}
	if draining {
		return unlessCanceled(err)
	}
	return err
}

// lose ends a term against the elector's will and waits for its work. The order matters: what the
// gate reads and the term's context come first, then observers and the log.
func (n *renewer) lose(l loss) error {
	n.term.end(l.err())
	n.requester.cancel() // a renewal that succeeds now would only keep others waiting
	n.announce(l)
	limit := n.opts.margin()
	if l.reason == ReasonDeadline {
		takeover := n.opts.LeaseDuration - n.writeLog.last.sent.until(n.now())
		limit = max(limit, takeover-limit)
	}
	returned, err := n.await(limit)
	if !returned {
		n.opts.Logger.Error(ErrStuck, "another candidate may lead from now on; this process has to end")
		return fmt.Errorf("%w: %w", l.err(), ErrStuck)
	}
	return together(l.err(), err)
}

// announce makes a loss known.
func (n *renewer) announce(l loss) {
	n.move(StateLost)
	if f := n.opts.Observer.Lost; f != nil {
		f(l.reason, l.err())
	}
	n.opts.Logger.Error(l.err(), "stopped leading")
}

// await waits for the leader's function, by the clocks of the election: its timers may have stood
// still.
func (n *renewer) await(limit time.Duration) (returned bool, err error) {
	start := n.now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		n.turn()
		rest := limit - start.until(n.now())
		timer.Reset(min(max(rest, 0), n.opts.RetryPeriod/4))
		select {
		case err := <-n.done:
			return true, err
		case <-timer.C:
			if rest <= 0 {
				return false, nil
			}
		}
	}
}

// together is a loss, and the error of the leader's function unless that only repeats it.
func together(loss, err error) error {
	if err = unlessCanceled(err); err == nil || errors.Is(err, ErrLost) {
		return loss
	}
	return fmt.Errorf("%w; %w", loss, err)
}

// release gives the Lease up by compare-and-swap on this process's own last write. It returns nil
// when the Lease is free, or another process's, afterwards, and otherwise why it is left to expire.
// The term has ended before.
func (s *session) release(ctx context.Context) error {
	if s.requester.busy() {
		if err := s.settle(); err != nil {
			return err
		}
	}
	var last error
	for range 3 {
		sent := s.now()
		held := s.writeLog.last.rec
		now := max(sent.wall.UnixMicro(), held.renewed+1) // others know a release by its times: see tenure
		rec := record{seconds: 1, transitions: held.transitions, acquired: now, renewed: now}
		s.send(ctx, s.opts.requestTimeout(), opRelease, write{rec: rec, sent: sent}, s.writeLog.lease)
		r, ok := s.requester.wait(2 * s.opts.requestTimeout())
		switch {
		case !ok:
			return errors.New("releasing the lease: the request does not end")
		case r.err == nil:
			s.writeLog.confirm(r.write, r.lease)
			s.see(record{})
			return nil
		case refused(r.err) || gone(r.err):
			free, err := s.inspect(ctx)
			if free {
				return nil
			}
			last = err
		default:
			last = fmt.Errorf("releasing the lease: %w", r.err)
		}
	}
	return last
}

// settle waits for the renewal that was under way when the work returned.
func (s *session) settle() error {
	r, ok := s.requester.wait(2 * s.opts.requestTimeout())
	if !ok {
		return errors.New("releasing the lease: an earlier request does not end")
	}
	if r.op == opRenew && r.err == nil {
		s.writeLog.confirm(r.write, r.lease)
	}
	return nil
}

// inspect reads the Lease after a release was refused. It is free, for this process's purposes,
// when there is nothing left to give up.
func (s *session) inspect(ctx context.Context) (free bool, err error) {
	s.send(ctx, s.opts.requestTimeout(), opRead, write{}, nil)
	r, ok := s.requester.wait(2 * s.opts.requestTimeout())
	switch {
	case !ok:
		return false, errors.New("releasing the lease: reading it does not end")
	case gone(r.err):
		return true, nil
	case r.err != nil:
		return false, fmt.Errorf("releasing the lease: %w", r.err)
	}
	w, mine := s.writeLog.find(recordOf(r.lease))
	if !mine {
		s.observe(r.lease)
		return true, nil
	}
	s.writeLog.confirm(w, r.lease)
	if w.rec.holder == "" {
		return true, nil // a release whose reply was lost
	}
	return false, errors.New("releasing the lease: it is changed all the time")
}
