package election

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// session is one call of Run: an elector together with its request, its watch and its timers. Everything in it belongs to the
// goroutine of Run. The context called work in its methods is that of requests and of the watch; it outlives the context of
// Run, which only says that the elector is to stop.
type session struct {
	*Elector
	courier   *courier
	sightings chan sighting
	watcher   *watcher
	watching  chan struct{} // closed when the watcher has ended
	connected bool          // the watch stands
	gapless   bool          // and has reported where it began: what it reports from now on is every change
	troubled  operation     // the one that failed last

	grumbler, watchGrumbler grumbler

	pollAt   time.Time // standby: when the Lease is to be read; zero: not by time
	readAt   time.Time // standby: when it was last read
	tryAt    time.Time // standby: no attempt to take the Lease before this
	renewAt  time.Time // leading: when the next renewal is due
	reread   bool      // leading: the Lease has to be read before the next renewal
	failures int       // leading: renewals failed in a row
	lastErr  error     // leading: of the last renewal; nil when it succeeded
}

// open makes a session whose watcher runs until work ends.
func (e *Elector) open(work context.Context) *session {
	s := &session{
		Elector: e, courier: newCourier(), sightings: make(chan sighting), watching: make(chan struct{}),
		grumbler: grumbler{interval: time.Minute}, watchGrumbler: grumbler{interval: 10 * time.Minute}, pollAt: time.Now(),
	}
	w := &watcher{
		client: e.opts.Leases, namespace: e.opts.Namespace, name: e.opts.Name,
		period: e.opts.RetryPeriod, timeout: e.opts.requestTimeout(), out: s.sightings, reachable: make(chan struct{}, 1),
	}
	s.watcher = w
	e.unwatched.begin(e.opts.Clock.Boot())
	go func() {
		defer close(s.watching)
		w.run(work)
	}()
	return s
}

// close waits for everything that the session has started, whose context has ended, but no longer than limit each: a credential
// plugin that does not obey its context must not keep the process from ending.
func (s *session) close(limit time.Duration) {
	s.courier.quit(limit)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.watching:
	case <-timer.C:
	}
}

// run competes and, if that succeeds, leads. It returns what Run returns.
func (s *session) run(ctx, work context.Context, lead func(context.Context) error) error {
	v := s.compete(ctx, work)
	if v == nil {
		return nil
	}
	return s.hold(ctx, work, v, lead)
}

// ask sends a request. The server is told its time limit by the context's deadline: see [NewLeaseClient].
func (s *session) ask(work context.Context, timeout time.Duration, op operation, w write, base *coordinationv1.Lease) {
	r := reply{op: op, write: w, known: s.known(), viewed: s.view.rv}
	client, namespace, name := s.opts.Leases, s.opts.Namespace, s.opts.Name
	if op == opRead {
		s.courier.send(work, timeout, r, func(ctx context.Context) (*coordinationv1.Lease, error) {
			return client.Get(ctx, namespace, name)
		})
		return
	}
	lease := &coordinationv1.Lease{}
	lease.Namespace, lease.Name = namespace, name
	if base != nil {
		lease = base.DeepCopy()
	}
	w.rec.writeTo(lease)
	w.base = lease.ResourceVersion
	r.write = w
	if op != opPlant { // which is nobody's
		s.ledger.intend(w)
	}
	s.courier.send(work, timeout, r, func(ctx context.Context) (*coordinationv1.Lease, error) {
		if base == nil {
			return client.Create(ctx, lease)
		}
		return client.Update(ctx, lease)
	})
}

// known is the latest resourceVersion that this process has heard of, in whatever role.
func (s *session) known() string {
	if s.ledger.lease == nil {
		return s.view.rv
	}
	if sign, ok := order(s.view.rv, s.ledger.lease.ResourceVersion); ok && sign > 0 {
		return s.view.rv
	}
	return s.ledger.lease.ResourceVersion
}

// rewound reports whether a reading shows an older state than was known when it was asked for. Readings are never late, so the
// API server has forgotten something: its storage was restored from a backup.
func (s *session) rewound(r reply) bool {
	if r.known == "" || r.known != s.known() {
		return false // the watch was faster
	}
	sign, ok := order(r.lease.ResourceVersion, r.known)
	return ok && sign < 0
}

// forget drops everything that was known about the Lease, except that it has been seen before, and that somebody may rely on
// it.
func (s *session) forget() {
	s.ledger = ledger{}
	t := s.view.tenure
	t.interrupt(s.opts.Clock.Boot())
	s.view = view{looked: true, tenure: t}
}

// claim is the write with which this process takes the Lease or keeps it, as of now.
func (s *session) claim(sent instant, acquired int64, transitions int32) write {
	return write{sent: sent, rec: record{
		holder:      s.opts.Identity,
		seconds:     int32(s.opts.LeaseDuration / time.Second),
		transitions: transitions,
		acquired:    acquired,
		renewed:     sent.wall.UnixMicro() + 1, // a Lease that is held never has two equal times: see record.released
	}}
}

// own reports whether the Lease is as this very process has written it. A record that was its own once and has come back by hand
// is not: another candidate may have led in between.
func (s *session) own() bool {
	w, ok := s.ledger.find(s.view.rec)
	return ok && (w != s.ledger.last || s.ledger.lease != nil && s.ledger.lease.ResourceVersion == s.view.rv)
}

// look takes a state of the Lease into the view of a candidate.
func (s *session) look(lease *coordinationv1.Lease) { s.lookWatching(lease, false) }

// lookWatching is look for a state that may have come from the watch, without a gap since the last one.
func (s *session) lookWatching(lease *coordinationv1.Lease, gapless bool) {
	if s.view.observe(lease, s.opts.Identity, s.opts.Clock.Boot(), gapless) {
		s.see(s.view.rec.holder)
		if s.view.rec.holder == s.opts.Identity && !s.view.inherited && !s.own() {
			s.opts.Logger.Info("the lease names this process, but somebody else wrote it; waiting for it to expire")
		}
	}
}

// lookAtNothing takes into the view of a candidate that the Lease does not exist.
func (s *session) lookAtNothing(rv string) {
	s.view.vanish(rv, s.opts.Clock.Boot(), s.opts.gap())
	if s.view.lease == nil {
		s.see("")
	}
}

// complain keeps what Problem returns after a request has failed, and logs it at a bounded rate.
func (s *session) complain(r reply) {
	err := fmt.Errorf("%s the lease: %w", r.op, r.err)
	s.problem.Store(&err)
	s.troubled = r.op
	if repeated, due := s.grumbler.due(err, time.Now()); due {
		s.opts.Logger.Error(err, "lease request failed", "state", s.State().String(), "repeated", repeated)
	}
}

// succeed withdraws the problem after a request that went well, unless that shows nothing about it: reading may work where
// writing is forbidden.
func (s *session) succeed(op operation) {
	if !s.connected {
		s.watcher.retryNow()
	}
	if op == opRead && s.troubled != opRead {
		return
	}
	s.problem.Store(nil)
	s.grumbler.reset()
}

// watchStands takes in that the watch stands.
func (s *session) watchStands() {
	s.connected, s.gapless = true, false
	s.unwatched.end(s.opts.Clock.Boot())
}

// disconnected takes in that the watch is broken. Without it everything works, but slower.
func (s *session) disconnected(err error) {
	s.connected, s.gapless = false, false
	s.unwatched.begin(s.opts.Clock.Boot())
	if s.pollAt.IsZero() {
		s.pollAt = s.later(s.opts.RetryPeriod)
	}
	log := s.opts.Logger.V(1) // streams end all the time
	repeated := 0
	if apierrors.ReasonForError(err) != "" {
		var due bool
		if repeated, due = s.watchGrumbler.due(err, time.Now()); due {
			log = s.opts.Logger
		}
	}
	log.Info("the watch on the lease is broken", "reason", err.Error(), "repeated", repeated)
}

// spread lengthens a wait by up to a fifth, so that candidates do not ask in step.
func spread(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*float64(d)/5) //nolint:gosec // spreads load, keeps no secret
}
