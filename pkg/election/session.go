package election

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// session is one call of Run: an elector with its request, its watch and its log limits. It
// belongs to the goroutine of Run. The context in its methods is that of requests and of the
// watch, which outlives the context of Run; of that one, only the end matters: see stopSignal.
type session struct {
	*Elector
	requester   *requester
	watchEvents chan watchEvent
	watcher     *watcher
	watching    chan struct{} // closed when the watcher has ended
	connected   bool          // the watch is open
	gapless     bool          // and has reported where it began: what it reports from now on is every change
	failed      operation     // the operation that failed last

	requestLog, watchLog logLimiter
}

// stopSignal is closed when the elector is asked to stop.
type stopSignal <-chan struct{}

// given reports whether it is closed.
func (s stopSignal) given() bool {
	select {
	case <-s:
		return true
	default:
		return false
	}
}

// open makes a session whose watcher runs until ctx ends.
func (e *Elector) open(ctx context.Context) *session {
	s := &session{
		Elector: e, requester: newRequester(), watchEvents: make(chan watchEvent), watching: make(chan struct{}),
		requestLog: logLimiter{interval: time.Minute}, watchLog: logLimiter{interval: 10 * time.Minute},
	}
	s.watcher = &watcher{
		client: e.opts.Leases, namespace: e.opts.Namespace, name: e.opts.Name,
		period: e.opts.RetryPeriod, timeout: e.opts.requestTimeout(), out: s.watchEvents, reachable: make(chan struct{}, 1),
	}
	e.unwatched.begin(e.opts.Clock.Boot())
	go func() {
		defer close(s.watching)
		s.watcher.run(ctx)
	}()
	return s
}

// close waits for everything that the session has started, whose context has ended, but no longer
// than limit each: a credential plugin that does not obey its context must not keep the process
// from ending.
func (s *session) close(limit time.Duration) {
	s.requester.quit(limit)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.watching:
	case <-timer.C:
	}
}

// run acquires the Lease and, if that succeeds, leads. It returns what Run returns.
func (s *session) run(ctx context.Context, stop stopSignal, lead func(context.Context) error) error {
	a := &acquirer{session: s, pollAt: time.Now()}
	v := a.run(ctx, stop)
	if v == nil {
		return nil
	}
	return s.lead(ctx, stop, v, lead)
}

// send sends a request. The context's deadline is sent to the server as its time limit: see
// [NewLeaseClient].
func (s *session) send(ctx context.Context, timeout time.Duration, op operation, w write, base *coordinationv1.Lease) {
	r := reply{op: op, write: w, known: s.known(), viewed: s.observed.rv}
	client, namespace, name := s.opts.Leases, s.opts.Namespace, s.opts.Name
	if op == opRead {
		s.requester.send(ctx, timeout, r, func(ctx context.Context) (*coordinationv1.Lease, error) {
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
	if op != opTombstone { // which has no owner
		s.writeLog.begin(w)
	}
	s.requester.send(ctx, timeout, r, func(ctx context.Context) (*coordinationv1.Lease, error) {
		if base == nil {
			return client.Create(ctx, lease)
		}
		return client.Update(ctx, lease)
	})
}

// known is the latest resourceVersion that this process has seen, as a candidate or as a leader.
func (s *session) known() string {
	if s.writeLog.lease == nil {
		return s.observed.rv
	}
	if sign, ok := order(s.observed.rv, s.writeLog.lease.ResourceVersion); ok && sign > 0 {
		return s.observed.rv
	}
	return s.writeLog.lease.ResourceVersion
}

// rewound reports whether a reading shows an older state than was known when it was asked for.
// Readings are never late, so the API server has forgotten something: its storage was restored from
// a backup.
func (s *session) rewound(r reply) bool {
	if r.known == "" || r.known != s.known() {
		return false // the watch was faster
	}
	sign, ok := order(r.lease.ResourceVersion, r.known)
	return ok && sign < 0
}

// forget drops everything that was known about the Lease, except that it has been seen before, and
// that another process may rely on it.
func (s *session) forget() {
	s.writeLog = writeLog{}
	t := s.observed.tenure
	t.interrupt(s.opts.Clock.Boot())
	s.observed = observedLease{looked: true, tenure: t}
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

// own reports whether the Lease is as this very process has written it. A record that was its own
// once and has come back by hand is not: another candidate may have led in between.
func (s *session) own() bool {
	w, ok := s.writeLog.find(s.observed.rec)
	return ok && (w != s.writeLog.last || s.writeLog.lease != nil && s.writeLog.lease.ResourceVersion == s.observed.rv)
}

// observe records a state of the Lease that was read, or written.
func (s *session) observe(lease *coordinationv1.Lease) { s.observeWatched(lease, false) }

// observeWatched is observe for a state from the watch; gapless says that no change before it was
// missed.
func (s *session) observeWatched(lease *coordinationv1.Lease, gapless bool) {
	if s.observed.observe(lease, s.opts.Identity, s.opts.Clock.Boot(), gapless) {
		s.see(s.observed.rec)
		if s.observed.rec.holder == s.opts.Identity && !s.observed.inherited && !s.own() {
			s.opts.Logger.Info("the lease names this process, but another one wrote it; waiting for it to expire")
		}
	}
}

// observeAbsence records that the Lease does not exist.
func (s *session) observeAbsence(rv string) {
	s.observed.observeAbsence(rv, s.opts.Clock.Boot(), s.opts.gap())
	if s.observed.lease == nil {
		s.see(record{})
	}
}

// complain keeps what Problem returns after a request has failed, and logs it at a bounded rate.
func (s *session) complain(r reply) {
	err := fmt.Errorf("%s the lease: %w", r.op, r.err)
	s.problem.Store(&err)
	s.failed = r.op
	s.requestLog.do(err, func() {
		s.opts.Logger.Error(err, "lease request failed", "state", s.State().String())
	})
}

// succeed withdraws the problem after a request that went well, unless that shows nothing about it:
// reading may work where writing is forbidden.
func (s *session) succeed(op operation) {
	if !s.connected {
		s.watcher.retryNow()
	}
	if op == opRead && s.failed != opRead {
		return
	}
	s.problem.Store(nil)
	s.requestLog.reset()
}

// watchOpened records that the watch is open.
func (s *session) watchOpened() {
	s.connected, s.gapless = true, false
	s.unwatched.end(s.opts.Clock.Boot())
}

// disconnected records that the watch is broken. Without it everything works, but slower.
func (s *session) disconnected(err error) {
	s.connected, s.gapless = false, false
	s.unwatched.begin(s.opts.Clock.Boot())
	log := func(log logr.Logger) { log.Info("the watch on the lease is broken", "reason", err.Error()) }
	if apierrors.ReasonForError(err) == "" {
		log(s.opts.Logger.V(1)) // streams end all the time
		return
	}
	s.watchLog.do(err, func() { log(s.opts.Logger) })
}

// later is a moment after about d.
func later(d time.Duration) time.Time { return time.Now().Add(spread(d)) }

// spread lengthens a wait by up to a fifth, so that candidates do not ask in step.
func spread(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*float64(d)/5) //nolint:gosec // spreads load, keeps no secret
}
