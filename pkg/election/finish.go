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
func (s *session) finish(work context.Context, t *term, err error) error {
	if !t.end(errReturned) {
		l := loss{reason: ReasonDeadline, cause: s.lastErr}
		s.announce(l)
		return together(l.err(), err)
	}
	draining := s.State() == StateDraining
	kept := err
	if !errors.Is(err, ErrKeepLease) {
		kept = s.release(work)
	}
	s.move(StateReleased)
	if f := s.opts.Observer.Released; f != nil {
		f(kept)
	}
	if kept != nil {
		s.opts.Logger.Info("stopped leading; the lease is left to expire", "reason", kept.Error())
	} else {
		s.opts.Logger.Info("stopped leading; the lease is released")
	}
	if draining {
		return unlessCanceled(err)
	}
	return err
}

// lose ends a term against the elector's will and waits for its work. The order matters: what the gate reads and the term's
// context come first, then everybody else.
func (s *session) lose(t *term, l loss, done <-chan error) error {
	t.end(l.err())
	s.courier.cancel() // a renewal that succeeds now would only keep others waiting
	s.announce(l)
	patience := s.opts.margin()
	if l.reason == ReasonDeadline {
		takeover := s.opts.LeaseDuration - s.ledger.last.sent.until(s.now())
		patience = max(patience, takeover-patience)
	}
	returned, err := s.await(done, patience)
	if !returned {
		s.opts.Logger.Error(ErrStuck, "another candidate may lead from now on; this process has to end")
		return fmt.Errorf("%w: %w", l.err(), ErrStuck)
	}
	return together(l.err(), err)
}

// announce makes a loss known.
func (s *session) announce(l loss) {
	s.move(StateLost)
	if f := s.opts.Observer.Lost; f != nil {
		f(l.reason, l.err())
	}
	s.opts.Logger.Error(l.err(), "stopped leading")
}

// await waits for the leader's function, by the clocks of the election: its timers may have stood still.
func (s *session) await(done <-chan error, patience time.Duration) (returned bool, err error) {
	start := s.now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.turn()
		rest := patience - start.until(s.now())
		timer.Reset(min(max(rest, 0), s.opts.RetryPeriod/4))
		select {
		case err := <-done:
			return true, err
		case <-timer.C:
			if rest <= 0 {
				return false, nil
			}
		}
	}
}

// together is a loss, and what the leader's function said about its end if that is more than that it was told to.
func together(loss, err error) error {
	if err = unlessCanceled(err); err == nil || errors.Is(err, ErrLost) {
		return loss
	}
	return fmt.Errorf("%w; %w", loss, err)
}

// release gives the Lease up by compare-and-swap on this process's own last write. It returns nil when the Lease is free, or
// somebody else's, afterwards, and otherwise why it is left to expire. The term has ended before.
func (s *session) release(work context.Context) error {
	if s.courier.busy() {
		if err := s.settle(); err != nil {
			return err
		}
	}
	var last error
	for range 3 {
		sent := s.now()
		held := s.ledger.last.rec
		now := max(sent.wall.UnixMicro(), held.renewed+1) // others know a release by its times: see tenure
		rec := record{seconds: 1, transitions: held.transitions, acquired: now, renewed: now}
		s.ask(work, s.opts.requestTimeout(), opRelease, write{rec: rec, sent: sent}, s.ledger.lease)
		r, ok := s.courier.wait(2 * s.opts.requestTimeout())
		switch {
		case !ok:
			return errors.New("releasing the lease: the request does not end")
		case r.err == nil:
			s.ledger.confirm(r.write, r.lease)
			s.see("")
			return nil
		case refused(r.err) || gone(r.err):
			free, err := s.inspect(work)
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
	r, ok := s.courier.wait(2 * s.opts.requestTimeout())
	if !ok {
		return errors.New("releasing the lease: an earlier request does not end")
	}
	if r.op == opRenew && r.err == nil {
		s.ledger.confirm(r.write, r.lease)
	}
	return nil
}

// inspect reads the Lease after a release was refused. It is free, for this process's purposes, when there is nothing of its own
// left to give up.
func (s *session) inspect(work context.Context) (free bool, err error) {
	s.ask(work, s.opts.requestTimeout(), opRead, write{}, nil)
	r, ok := s.courier.wait(2 * s.opts.requestTimeout())
	switch {
	case !ok:
		return false, errors.New("releasing the lease: reading it does not end")
	case gone(r.err):
		return true, nil
	case r.err != nil:
		return false, fmt.Errorf("releasing the lease: %w", r.err)
	}
	w, mine := s.ledger.find(recordOf(r.lease))
	if !mine {
		s.look(r.lease)
		return true, nil
	}
	s.ledger.confirm(w, r.lease)
	if w.rec.holder == "" {
		return true, nil // a release whose reply was lost
	}
	return false, errors.New("releasing the lease: it is changed all the time")
}
