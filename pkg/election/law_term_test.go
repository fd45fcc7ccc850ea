package election

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Law 1: validity counts from the sending of the last successful renewal, on both clocks, the
// larger elapsed.

func TestValidityCountsFromTheSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "a")
		a.link.setFault(always(fault{after: 1500 * time.Millisecond}))
		a.start()
		a.leads()
		if got := a.Remaining(); got != 8500*time.Millisecond {
			t.Errorf("after an election whose answer took 1.5s %s remain, want 8.5s", got)
		}
		time.Sleep(3500*time.Millisecond + moment) // the first renewal was sent 2 s after the election, and answered
		if got := a.Remaining(); got > 8500*time.Millisecond || got < 8400*time.Millisecond {
			t.Errorf("after a renewal whose answer took 1.5s %s remain, want 8.5s", got)
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestValidityUsesTheFasterClock(t *testing.T) {
	tests := map[string]struct {
		change func(*testClock)
		lost   bool
	}{
		"machine was suspended":      {func(c *testClock) { c.suspend(11 * time.Second) }, true},
		"boot time alone went on":    {func(c *testClock) { c.suspend(11 * time.Second); c.step(-11 * time.Second) }, true},
		"wall clock stepped forward": {func(c *testClock) { c.step(11 * time.Second) }, true},
		"wall clock stepped a bit":   {func(c *testClock) { c.step(5 * time.Second) }, false},
		"wall clock stepped back":    {func(c *testClock) { c.step(-time.Hour) }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newTestElector(t, newServer(), "a")
				a.start()
				term := a.leads()
				tt.change(a.clock)
				// No goroutine of the elector has run since: this is what a gate sees that was
				// stopped with the process.
				if got := a.Remaining() == 0; got != tt.lost {
					t.Fatalf("%s remain", a.Remaining())
				}
				if tt.lost {
					before := time.Now()
					<-term.Done()
					if waited := time.Since(before); waited > DefaultRetryPeriod/4 {
						t.Errorf("the term's context ended %s after waking", waited)
					}
					a.wantLost(ReasonDeadline)
					return
				}
				time.Sleep(time.Minute)
				if term.Err() != nil {
					t.Error("the term has ended")
				}
				if err := a.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestWallClockSetBackNeverProlongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestElector(t, newServer(), "a")
		a.start()
		term := a.leads()
		start := time.Now()
		a.link.cut()
		a.clock.step(-time.Hour)
		<-term.Done()
		if got := time.Since(start); got > 10*time.Second {
			t.Errorf("the term lasted %s", got)
		}
		a.wantLost(ReasonDeadline)
	})
}

// Law 2: the term ends at the latest RenewDeadline after the sending of the last successful
// renewal.

func TestDeadlineEndsTheTerm(t *testing.T) {
	faults := map[string]func(*testElector){
		"partition":         func(c *testElector) { c.link.cut() },
		"requests are lost": func(c *testElector) { c.link.setFault(only("update", fault{lost: true})) },
		"server fails": func(c *testElector) {
			c.link.setFault(always(fault{err: apierrors.NewInternalError(errors.New("no quorum"))}))
		},
		"right is withdrawn": func(c *testElector) {
			c.link.setFault(only("update", fault{err: apierrors.NewForbidden(leases, testName, errors.New("no"))}))
		},
	}
	for name, fail := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newTestElector(t, newServer(), "a")
				a.start()
				term := a.leads()
				time.Sleep(4*time.Second + moment) // two renewals: the last one was sent a moment ago
				last := time.Now().Add(-moment)
				fail(a)
				<-term.Done()
				if got := time.Since(last); got != 10*time.Second {
					t.Errorf("the term ended %s after the last renewal was sent, want 10s", got)
				}
				if !errors.Is(context.Cause(term), ErrLost) {
					t.Errorf("the cause of the term's end is %v", context.Cause(term))
				}
				a.wantLost(ReasonDeadline)
			})
		})
	}
}

func TestTermEndsThoughTheLoopHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		a := newTestElector(t, newServer(), "a", func(o *Options) {
			o.Observer.Renewed = func(time.Duration, error) { <-release }
		})
		a.link.noWatch = errors.New("no watch") // or it confirms the renewal first
		a.start()
		term := a.leads()
		start := time.Now()
		<-term.Done()
		// The renewal after 2 s was stored, but its reply is never handled: the loop hangs in the
		// observer.
		if got := time.Since(start); got != 10*time.Second {
			t.Errorf("the term ended after %s, want 10s", got)
		}
		time.Sleep(10 * time.Second)
		if a.Healthy() == nil {
			t.Error("an elector that has stood still for 18s calls itself healthy")
		}
		close(release)
		a.wantLost(ReasonDeadline)
	})
}

// hung is a client whose requests do not obey their context, as with a credential plugin that does
// not return.
type hung struct {
	*link
	stuck   chan struct{} // closed when requests begin to hang
	release chan struct{}
}

func (h *hung) wait() {
	select {
	case <-h.stuck:
		<-h.release
	default:
	}
}

func (h *hung) Get(ctx context.Context, namespace, name string) (*coordinationv1.Lease, error) {
	h.wait()
	return h.link.Get(ctx, namespace, name)
}

func (h *hung) Update(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	h.wait()
	return h.link.Update(ctx, lease)
}

func TestClientThatIgnoresItsContext(t *testing.T) {
	for name, stop := range map[string]bool{"leading": false, "releasing": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				client := &hung{link: newLink(s), stuck: make(chan struct{}), release: make(chan struct{})}
				a := newTestElector(t, s, "a", func(o *Options) { o.Leases = client })
				a.start()
				term := a.leads()
				start := time.Now()
				close(client.stuck)
				if stop {
					if err := a.stop(); err != nil {
						t.Errorf("Run returned %v", err)
					}
					if a.seen.kept[0] == nil {
						t.Error("the lease counts as released")
					}
				} else {
					<-term.Done()
					a.wantLost(ReasonDeadline)
				}
				if got := time.Since(start); got > 15*time.Second {
					t.Errorf("Run returned after %s", got)
				}
				close(client.release)
			})
		})
	}
}

func TestHungStandbyCanBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.put(spec("x", 15, time.Now()))
		client := &hung{link: newLink(s), stuck: make(chan struct{}), release: make(chan struct{})}
		close(client.stuck)
		a := newTestElector(t, s, "a", func(o *Options) { o.Leases = client })
		a.start()
		time.Sleep(time.Minute)
		start := time.Now()
		if err := a.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if got := time.Since(start); got > 10*time.Second {
			t.Errorf("stopping took %s", got)
		}
		close(client.release)
	})
}
