package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/engine"
)

func TestCleanStop(t *testing.T) {
	tests := map[string]struct {
		compete func(*fakeParts) func(context.Context, func(context.Context) error) error
		empty   bool
		call    time.Duration
		want    []string
		took    time.Duration
	}{
		"leader": {
			compete: func(p *fakeParts) func(context.Context, func(context.Context) error) error { return p.wins },
			call:    5 * time.Second, took: 5 * time.Second,
			want: []string{"competing", "lease: work", "unready", "lease: returned", "lease released"},
		},
		"standby": {
			compete: func(p *fakeParts) func(context.Context, func(context.Context) error) error { return p.waits },
			want:    []string{"competing", "unready"},
		},
		"without leader election": {
			call: 7 * time.Second, took: 7 * time.Second,
			want: []string{"lease: work", "unready", "lease: returned"},
		},
		"nothing under the lease": {
			compete: func(p *fakeParts) func(context.Context, func(context.Context) error) error { return p.wins },
			empty:   true,
			want:    []string{"unready"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newParts(t)
				p.callTakes[engine.UnderLease] = tc.call
				if tc.empty {
					p.wants = make(chan struct{})
				}
				var compete func(context.Context, func(context.Context) error) error
				if tc.compete != nil {
					compete = tc.compete(p)
				}
				got := runFor(t, p.lifecycle(compete), time.Minute)
				if got.err != nil || got.took != tc.took {
					t.Errorf("ended with %v after %s, want no error after %s", got.err, got.took, tc.took)
				}
				events := slices.DeleteFunc(p.all(), func(e string) bool { return strings.HasPrefix(e, "every replica") })
				if len(events) < 3 {
					t.Fatalf("events are %v", events)
				}
				end := len(events) - 3
				if diff := cmp.Diff(tc.want, events[:end]); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				slices.Sort(events[end : end+2]) // Servers and sources stop at once.
				if diff := cmp.Diff([]string{"servers stopped", "sources stopped", "freed"}, events[end:]); diff != "" {
					t.Errorf("the last events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestFirstDefinitionUnderTheLease comes while the replica runs.
func TestFirstDefinitionUnderTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParts(t)
		p.wants = make(chan struct{})
		time.AfterFunc(30*time.Second, func() {
			p.add("wanted")
			close(p.wants)
		})
		if got := runFor(t, p.lifecycle(p.wins), time.Minute); got.err != nil || got.took != 0 {
			t.Errorf("ended with %v after %s, want no error at once", got.err, got.took)
		}
		events := slices.DeleteFunc(p.all(), func(e string) bool { return strings.HasPrefix(e, "every replica") })
		want := []string{"wanted", "competing", "lease: work", "unready", "lease: returned", "lease released"}
		if diff := cmp.Diff(want, events[:len(events)-3]); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestLeaseWithoutADefinition competes because the holder of the lease stores the accepted config,
// which is prepared before the work.
func TestLeaseWithoutADefinition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParts(t)
		p.wants = make(chan struct{})
		l := p.lifecycle(p.wins)
		l.stores = true
		l.prepare = func(context.Context, engine.Drain) error {
			p.add("prepared")
			return nil
		}
		if got := runFor(t, l, time.Minute); got.err != nil {
			t.Errorf("ended with %v", got.err)
		}
		events := slices.DeleteFunc(p.all(), func(e string) bool { return strings.HasPrefix(e, "every replica") })
		want := []string{"competing", "prepared", "lease: work", "unready", "lease: returned", "lease released"}
		if diff := cmp.Diff(want, events[:len(events)-3]); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestLostLease ends the process, or lets it compete again when the config says so.
func TestLostLease(t *testing.T) {
	t.Run("exit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newParts(t)
			got := runFor(t, p.lifecycle(p.loses), 0)
			if !errors.Is(got.err, election.ErrLost) || got.took != time.Second {
				t.Errorf("ended with %v after %s, want the loss after 1s", got.err, got.took)
			}
			if events := p.all(); !slices.Contains(events, "every replica: returned") || slices.Contains(events, "unready") {
				t.Errorf("events are %v, want an end of all work, and no word of readiness", events)
			}
		})
	})
	t.Run("standby", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newParts(t)
			l := p.lifecycle(p.loses)
			l.standsBy = true
			if got := runFor(t, l, 2500*time.Millisecond); got.err != nil || got.took != 0 {
				t.Errorf("ended with %v, %s after the request, want no error at once", got.err, got.took)
			}
			terms := 0
			for _, event := range p.all() {
				if event == "competing" {
					terms++
				}
			}
			if terms != 3 { // The third one began before the stop was asked for.
				t.Errorf("it competed %d times, want 3: %v", terms, p.all())
			}
		})
	})
	t.Run("standby in the delay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newParts(t)
			l := p.lifecycle(p.loses)
			l.standsBy, l.timeouts.shutdownDelay, p.leads = true, time.Hour, true
			if got := runFor(t, l, 500*time.Millisecond); got.err != nil || got.took != 500*time.Millisecond {
				t.Errorf("ended with %v, %s after the request, want no error with the loss", got.err, got.took)
			}
		})
	})
	t.Run("the elector is stuck", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newParts(t)
			l := p.lifecycle(func(context.Context, func(context.Context) error) error {
				return fmt.Errorf("%w: %w", election.ErrLost, election.ErrStuck)
			})
			l.standsBy = true
			if got := runFor(t, l, 0); !errors.Is(got.err, election.ErrStuck) || got.took != 0 {
				t.Errorf("ended with %v after %s, want ErrStuck at once", got.err, got.took)
			}
		})
	})
}

// TestCaches lets the sources hang: the replica competes all the same, but not after it was asked
// to stop.
func TestCaches(t *testing.T) {
	for stopAfter, wantCompeting := range map[time.Duration]bool{14 * time.Second: false, 16 * time.Second: true} {
		synctest.Test(t, func(t *testing.T) {
			p := newParts(t)
			p.synced = make(chan struct{})
			_ = runFor(t, p.lifecycle(p.waits), stopAfter)
			if got := slices.Contains(p.all(), "competing"); got != wantCompeting {
				t.Errorf("after %s it competes: %t, want %t", stopAfter, got, wantCompeting)
			}
		})
	}
}

func TestServerFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParts(t)
		failure := errors.New("serving metrics: accept")
		time.AfterFunc(time.Second, func() { p.serveErr <- failure })
		got := runFor(t, p.lifecycle(p.wins), 0)
		if !errors.Is(got.err, failure) || got.took != time.Second {
			t.Errorf("ended with %v after %s, want %v after 1s", got.err, got.took, failure)
		}
		if !slices.Contains(p.all(), "lease released") {
			t.Errorf("events are %v, want the lease released", p.all())
		}
	})
}

// TestWhatDoesNotReturn lets each part hang in turn. The process ends all the same, within a bound.
func TestWhatDoesNotReturn(t *testing.T) {
	tests := map[string]struct {
		set  func(*fakeParts)
		want string // the error
		is   error
		took time.Duration
		no   string // an event that must not have been
	}{
		"a call under the lease": {
			set: func(p *fakeParts) {
				p.callStuck[engine.UnderLease], p.compete, p.names = true, p.wins, []string{"pods: the exec handler's Handle"}
			},
			want: "leading: handlers have not stopped: pods: the exec handler's Handle: the lease must be left to expire",
			is:   election.ErrKeepLease, took: shutdownTimeout + stopGrace, no: "lease released",
		},
		"a call without leader election": {
			set:  func(p *fakeParts) { p.callStuck[engine.UnderLease] = true },
			want: "handlers have not stopped", took: shutdownTimeout + stopGrace,
		},
		"a call on every replica": {
			set:  func(p *fakeParts) { p.callStuck[engine.EveryReplica], p.compete = true, p.wins },
			want: "handlers have not stopped", took: shutdownTimeout + stopGrace, no: "lease kept",
		},
		"the elector": {
			set: func(p *fakeParts) {
				p.compete = func(context.Context, func(context.Context) error) error { <-p.release; return nil }
			},
			want: "the elector has not stopped", took: shutdownTimeout + 2*stopGrace,
		},
		"a plugin's constructor": {
			set:  func(p *fakeParts) { p.runStuck, p.names = true, []string{"pods: the exec handler's New"} },
			want: "the constructor or the Close of a plugin has not returned: pods: the exec handler's New", took: stopGrace,
		},
		"a request":        {set: func(p *fakeParts) { p.runStuck = true }, took: partsGrace},
		"connections":      {set: func(p *fakeParts) { p.freeStuck = true }, took: freeGrace},
		"both":             {set: func(p *fakeParts) { p.runStuck, p.freeStuck = true, true }, took: partsGrace + freeGrace},
		"both of a leader": {set: func(p *fakeParts) { p.runStuck, p.freeStuck, p.compete = true, true, p.wins }, took: partsGrace + freeGrace},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newParts(t)
				tc.set(p)
				got := runFor(t, p.lifecycle(p.compete), time.Minute)
				text := ""
				if got.err != nil {
					text = got.err.Error()
				}
				if text != tc.want || (tc.is != nil && !errors.Is(got.err, tc.is)) || got.took != tc.took {
					t.Errorf("ended with %q after %s, want %q after %s", text, got.took, tc.want, tc.took)
				}
				if slices.Contains(p.all(), tc.no) {
					t.Errorf("events are %v, want none %q", p.all(), tc.no)
				}
			})
		})
	}
}

// TestLossWhileRequestsHang is a credential plugin that hangs: the process ends seconds after the
// loss, as a loss.
func TestLossWhileRequestsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParts(t)
		p.runStuck, p.freeStuck = true, true
		got := runFor(t, p.lifecycle(p.loses), 0)
		if !errors.Is(got.err, election.ErrLost) || got.took != time.Second+partsGrace+freeGrace {
			t.Errorf("ended with %v after %s, want the loss after %s", got.err, got.took, time.Second+partsGrace+freeGrace)
		}
		if status := exitStatus(&runError{got.err}); status != ExitLost {
			t.Errorf("exit status is %d, want %d", status, ExitLost)
		}
	})
}
