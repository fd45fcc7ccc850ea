package election

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// Law 5: the lease is released only after lead has returned; renewals go on meanwhile.

func TestReleaseFollowsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		var returned time.Time
		ctx, cancel := context.WithCancel(t.Context())
		a.startWith(ctx, cancel, func(term context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Minute)
			if term.Err() != nil {
				t.Error("the term ended during the drain")
			}
			returned = time.Now()
			return nil
		})
		a.leads()
		b.start()
		synctest.Wait()
		cancel()
		time.Sleep(59 * time.Second)
		if a.State() != StateDraining || !a.Leading() || s.record().holder != "a" {
			t.Errorf("during the drain it is %s, leading=%v, the holder is %q", a.State(), a.Leading(), s.record().holder)
		}
		if err := <-a.result; err != nil {
			t.Errorf("Run returned %v", err)
		}
		b.leads()
		if got := time.Since(returned); got > moment {
			t.Errorf("the standby led %s after the work had returned", got)
		}
		if got := s.record().transitions; got != 1 {
			t.Errorf("leaseTransitions is %d, want 1", got)
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestWorkThatReturns(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		err    error
		holder string
	}{
		"done":             {nil, ""},
		"failed":           {broken, ""},
		"keeping":          {errors.Join(ErrKeepLease, broken), "a"},
		"keeping silently": {ErrKeepLease, "a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				a := newTestElector(t, s, "a")
				a.start()
				term := a.leads()
				a.leave <- tt.err
				if err := <-a.result; !errors.Is(err, tt.err) {
					t.Errorf("Run returned %v, want %v", err, tt.err)
				}
				if got := s.record().holder; got != tt.holder {
					t.Errorf("the holder is %q, want %q", got, tt.holder)
				}
				if kept := a.seen.kept[0] != nil; kept != (tt.holder != "") {
					t.Errorf("the observer was called with %v", a.seen.kept[0])
				}
				if term.Err() == nil || a.State() != StateReleased {
					t.Errorf("the term goes on, in state %s", a.State())
				}
			})
		})
	}
}

func TestDrainLosesTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "a")
		ctx, cancel := context.WithCancel(t.Context())
		a.startWith(ctx, cancel, func(term context.Context) error {
			<-term.Done()
			return nil
		})
		a.leads()
		cancel()
		synctest.Wait()
		s.edit(steal)
		a.wantLost(ReasonTaken)
		if s.record().holder != "thief" {
			t.Error("the lease was written")
		}
	})
}

// Law 6: work that runs on when the lease could be taken over ends the process.

func TestStuckWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "a")
		release, done := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		a.startWith(ctx, cancel, func(context.Context) error {
			defer close(done)
			<-release
			return nil
		})
		term := a.leads()
		a.link.cut()
		<-term.Done()
		if a.Remaining() != 0 {
			t.Error("the gate is open though the term has ended")
		}
		time.Sleep(moment)
		if a.Healthy() == nil {
			t.Error("work outlives its term and the elector calls itself healthy")
		}
		err := <-a.result
		if !errors.Is(err, ErrLost) || !errors.Is(err, ErrStuck) {
			t.Errorf("Run returned %v", err)
		}
		if got := time.Since(start); got != 14*time.Second {
			t.Errorf("Run returned %s after the last renewal was sent; the lease can be taken over after 15s, the margin is 1s", got)
		}
		if err := a.Run(t.Context(), nil); !errors.Is(err, ErrRunning) {
			t.Errorf("a second Run returned %v", err)
		}
		close(release)
		<-done
	})
}

func TestStuckWorkAfterATheft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "a")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var cleanup time.Duration
		work := func(term context.Context) error {
			<-term.Done()
			time.Sleep(cleanup)
			return errors.New("interrupted")
		}
		cleanup = 900 * time.Millisecond
		a.startWith(ctx, cancel, work)
		a.leads()
		s.edit(steal)
		if err := <-a.result; !errors.Is(err, ErrLost) || errors.Is(err, ErrStuck) {
			t.Errorf("work that ended within the margin: %v", err)
		}
		b := newTestElector(t, s, "b")
		cleanup = 1100 * time.Millisecond
		b.startWith(ctx, cancel, work)
		b.leads()
		s.edit(steal)
		if err := <-b.result; !errors.Is(err, ErrStuck) {
			t.Errorf("work that did not: %v", err)
		}
		time.Sleep(time.Second)
	})
}

// Law 7: a request that gets no answer does not cost the term.

func TestOneDeadRequestKeepsTheTerm(t *testing.T) {
	for _, timings := range [][3]time.Duration{{15, 10, 2}, {3, 2, 1}, {137, 107, 26}} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			a := newTestElector(t, s, "a", func(o *Options) {
				o.LeaseDuration, o.RenewDeadline, o.RetryPeriod = timings[0]*time.Second, timings[1]*time.Second, timings[2]*time.Second
			})
			a.start()
			term := a.leads()
			for range 30 {
				first := true
				a.link.setFault(func(string) fault { // each time one request is swallowed, as by a dead connection
					f := fault{lost: first}
					first = false
					return f
				})
				time.Sleep(2 * timings[2] * time.Second)
			}
			if term.Err() != nil {
				t.Errorf("%v: the term was lost: %v", timings, context.Cause(term))
			}
			a.link.setFault(nil)
			if err := a.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		watcher := &deadlines{link: newLink(s), t: t}
		a := newTestElector(t, s, "a", func(o *Options) { o.Leases = watcher })
		watcher.elector = a.Elector
		a.start()
		a.leads()
		time.Sleep(5 * time.Second)
		watcher.setFault(always(fault{lost: true}))
		a.wantLost(ReasonDeadline)
		if watcher.requests < 5 {
			t.Errorf("%d requests were looked at", watcher.requests)
		}
	})
}

// deadlines checks the time limit of every request.
type deadlines struct {
	*link
	t        *testing.T
	elector  *Elector
	requests int
}

func (d *deadlines) Update(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	d.requests++
	deadline, ok := ctx.Deadline()
	limit := time.Until(deadline)
	if !ok || limit > DefaultRetryPeriod {
		d.t.Errorf("a request may take %s", limit)
	}
	if rest := d.elector.Remaining(); limit > rest {
		d.t.Errorf("a request may take %s when only %s of the term are left", limit, rest)
	}
	return d.link.Update(ctx, lease)
}
