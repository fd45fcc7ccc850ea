package election

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Elector competes for one Lease. Make one with [New]. Run must not be called twice at a time; all
// other methods are safe for concurrent use and never block.
type Elector struct {
	opts Options
	log  *lineQueue // of opts.Logger

	state    atomic.Int32
	validity atomic.Pointer[validity] // of the running term; nil outside one
	leader   atomic.Pointer[holder]   // the one last seen
	problem  atomic.Pointer[error]    // why the last request failed; nil after one that did not
	running  atomic.Bool              // Run, or a function that it left behind, is running
	working  atomic.Bool              // a leader's function is running
	beat     atomic.Int64             // boot time of the loop's last turn; 0 while Run is not running

	unwatched stopwatch // without a watch on the Lease, while Run is running

	// Only Run's own goroutine touches these. They outlive one Run, so that what was learned about
	// the Lease is kept.
	writeLog writeLog
	observed observedLease
}

// New returns an elector for o, or everything that is wrong with o. It contacts nothing.
func New(o Options) (*Elector, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("configuring the election: %w", err)
	}
	log := &lineQueue{}
	o.Logger = o.Logger.WithValues("lease", o.Namespace+"/"+o.Name, "identity", o.Identity)
	if sink := o.Logger.GetSink(); sink != nil {
		o.Logger = o.Logger.WithSink(queuedSink{sink, log})
	}
	return &Elector{opts: o, log: log, observed: observedLease{tenure: tenure{own: o.LeaseDuration}}}, nil
}

// Run competes for the Lease until ctx ends or one term has ended. When it wins, it calls lead
// once, on another goroutine. The context of lead is the term: it ends when leadership may no
// longer be relied on, and not with ctx.
//
// When ctx ends before a term, Run returns nil and lead is never called. When it ends during a
// term, lead has to watch ctx itself and return; the Lease is renewed until then and released, and
// Run returns nil. An error of lead is returned unless it only says context.Canceled.
//
// When lead returns before ctx has ended, the Lease is released and Run returns its error. An
// error that wraps [ErrKeepLease] prevents the release.
//
// When the term is lost, Run waits for lead and returns an error that wraps [ErrLost]. If lead has
// not returned shortly before another candidate could lead, the error wraps [ErrStuck] as well,
// and the caller has to end the process. Otherwise Run may be called again.
func (e *Elector) Run(ctx context.Context, lead func(term context.Context) error) error {
	if !e.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	if s := e.State(); s != StateStandby {
		e.move(StateStandby)
	}
	e.turn()
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := e.open(requests)
	if e.writeLog.lease != nil {
		s.observe(e.writeLog.lease) // the last thing known from an earlier Run
	}
	err := s.run(requests, ctx.Done(), lead)
	cancel()
	if errors.Is(err, ErrStuck) {
		e.log.flush(flushTimeout / 10)
		return err // running stays set: this elector must not be used again
	}
	s.close(e.opts.requestTimeout())
	e.log.flush(flushTimeout)
	e.beat.Store(0)
	e.unwatched.end(e.opts.Clock.Boot())
	e.running.Store(false)
	return err
}

// Remaining returns for how much longer the current term may be relied on; zero means that this
// process must not act as leader. It reads the clocks on every call, so it is right also just
// after the process or its machine was stopped. It takes no lock.
func (e *Elector) Remaining() time.Duration {
	v := e.validity.Load()
	if v == nil {
		return 0
	}
	return v.remaining(e.now())
}

// Leading reports whether a term is running and valid at this moment.
func (e *Elector) Leading() bool { return e.Remaining() > 0 }

// State returns the elector's state. It may lag behind [Elector.Remaining], which is what work has
// to rely on.
func (e *Elector) State() State { return State(e.state.Load()) }

// Leader returns the identity of the holder last seen in the Lease; empty when there was none.
func (e *Elector) Leader() string { return deref(e.leader.Load()).name }

// Seen returns what was last seen of the Lease, or written to it; false before the first look.
func (e *Elector) Seen() (Seen, bool) {
	h := e.leader.Load()
	if h == nil {
		return Seen{}, false
	}
	seen := Seen{Holder: h.name}
	if h.name != "" {
		seen.Since, seen.Renewed = h.since.UTC(), h.renewed.wall.UTC()
		seen.Expired = h.renewed.until(e.now()) > h.lasts
	}
	return seen, true
}

// Seen is who holds a Lease as far as a candidate knows, who may be cut off from it.
type Seen struct {
	// Holder is the identity in the Lease; empty when nobody holds it, and then the rest is zero.
	Holder string
	// Since is when the holder took the Lease, by its own clock, or when it was first seen where
	// the Lease does not say that.
	Since time.Time
	// Renewed is when the Lease was last seen to change, or was renewed, by this process's clock.
	Renewed time.Time
	// Expired says that this is longer ago than the Lease lasts, so the holder may have gone.
	Expired bool
}

// holder is who holds a Lease, since when, and when its record was last seen to change.
type holder struct {
	name    string
	since   time.Time
	renewed instant
	lasts   time.Duration
}

// Problem returns why the elector cannot do its work at the moment, as the API server or the
// network put it; nil when the last request went well. A standby with a problem keeps trying.
func (e *Elector) Problem() error { return deref(e.problem.Load()) }

// Unwatched returns for how long altogether Run has been without a watch on the Lease, this moment
// included. Meanwhile a leader hears of another holder, or of an edit, by its next renewal only.
func (e *Elector) Unwatched() time.Duration { return e.unwatched.total(e.opts.Clock.Boot()) }

// Healthy returns an error when the process should be restarted: the elector's loop has not turned
// for a whole LeaseDuration, or work goes on although its term has ended. It is meant for /livez.
// It returns nil while Run is not running.
func (e *Elector) Healthy() error {
	if e.working.Load() && !e.Leading() && e.State() == StateLost {
		return fmt.Errorf("checking the election: %w", ErrStuck)
	}
	beat := e.beat.Load()
	if beat == 0 {
		return nil
	}
	if idle := e.opts.Clock.Boot() - time.Duration(beat); idle > e.opts.LeaseDuration {
		return fmt.Errorf("checking the election: the elector has stood still for %s", idle.Round(time.Millisecond))
	}
	return nil
}

// now takes a reading of both clocks.
func (e *Elector) now() instant { return read(e.opts.Clock) }

// turn notes that the loop is alive.
func (e *Elector) turn() { e.beat.Store(max(int64(e.opts.Clock.Boot()), 1)) }

// move makes a transition. One that is not in the table is a defect of this package; going on with
// an unforeseen state could mean two leaders, so it ends the process.
func (e *Elector) move(to State) {
	from := e.State()
	if !from.allows(to) {
		panic(fmt.Sprintf("election: impossible transition from %s to %s", from, to))
	}
	e.state.Store(int32(to))
	if f := e.opts.Observer.StateChanged; f != nil {
		f(from, to)
	}
	e.opts.Logger.V(1).Info("election state changed", "from", from.String(), "to", to.String())
}

// see notes the record of a Lease that was just seen or written; the zero one is that of none.
// What this process has written last itself counts from when it was sent.
func (e *Elector) see(rec record) {
	now, old := holder{name: rec.holder, renewed: e.now(), lasts: rec.duration()}, deref(e.leader.Load())
	if rec.sameTenure(e.writeLog.last.rec) {
		now.renewed = e.writeLog.last.sent
	}
	switch {
	case rec.holder == "":
	case rec.acquired != 0:
		now.since = time.UnixMicro(rec.acquired).UTC()
	case old.name == rec.holder:
		now.since = old.since
	default:
		now.since = e.opts.Clock.Wall()
	}
	if e.leader.Store(&now); now.name != old.name {
		e.opts.Logger.Info("leader changed", "leader", now.name)
	}
}
