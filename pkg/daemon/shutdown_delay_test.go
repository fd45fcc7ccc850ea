package daemon

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
)

// TestShutdownDelay lets the first request to stop come after a second and looks when the drain may
// begin.
func TestShutdownDelay(t *testing.T) {
	const delay = 30 * time.Second
	tests := map[string]struct {
		delay     time.Duration
		follows   bool          // this replica does not lead
		again     time.Duration // after the first request; 0 means never
		drained   time.Duration // when the work ends by itself, after the first request; 0 means never
		wantAfter time.Duration // the first request
	}{
		"no delay":                         {delay: 0, wantAfter: 0},
		"a standby":                        {delay: delay, follows: true, wantAfter: 0},
		"a leader":                         {delay: delay, wantAfter: delay},
		"asked again":                      {delay: delay, again: 5 * time.Second, wantAfter: 5 * time.Second},
		"asked again too late":             {delay: delay, again: time.Minute, wantAfter: delay},
		"lease lost in the delay":          {delay: delay, drained: 7 * time.Second, wantAfter: 7 * time.Second},
		"asked again after the lost lease": {delay: delay, drained: 7 * time.Second, again: 9 * time.Second, wantAfter: 7 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, ask := context.WithCancel(t.Context())
				drained := make(chan struct{})
				began, caught, unready := time.Now(), 0, time.Duration(-1)
				next := func(parent context.Context) (context.Context, context.CancelFunc) {
					caught++
					ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
					if tc.again > 0 {
						time.AfterFunc(tc.again, cancel)
					}
					return ctx, func() { caught--; cancel() }
				}
				d := shutdownDelay{
					delay: tc.delay, leading: func() bool { return !tc.follows }, next: next, logger: logr.Discard(),
					unready: func() { unready = time.Since(began) },
				}
				time.AfterFunc(time.Second, func() {
					ask()
					if tc.drained > 0 {
						time.AfterFunc(tc.drained, func() { close(drained) })
					}
				})
				d.await(asked, drained)
				if got := time.Since(began) - time.Second; got != tc.wantAfter {
					t.Errorf("the drain may begin %s after the request, want %s", got, tc.wantAfter)
				}
				if unready != time.Second {
					t.Errorf("readiness went off at %s, want 1s, when it was asked to stop", unready)
				}
				if caught != 0 {
					t.Error("signals are still caught when the drain begins")
				}
			})
		})
	}
}

// TestShutdownDelayOfWorkThatEnds is the end of the work without a request to stop: nothing is
// delayed or announced.
func TestShutdownDelayOfWorkThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drained := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(drained) })
		began := time.Now()
		shutdownDelay{
			delay: time.Hour, leading: func() bool { return true }, logger: logr.Discard(),
			unready: func() { t.Error("readiness went off") },
		}.await(t.Context(), drained)
		if got := time.Since(began); got != time.Second {
			t.Errorf("await took %s, want 1s", got)
		}
	})
}
