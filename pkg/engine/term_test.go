package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

// TestWorkBeginsInATerm has a standby, which keeps its caches and makes its handlers, and two
// terms.
func TestWorkBeginsInATerm(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{RequeueAfter: time.Hour}, nil
		}
		r.apply(r.definition("d", "1"))
		r.run()
		r.change(0)
		r.wantState("d", status.Running, "")
		r.expect()
		for range 2 {
			r.lead()
			r.expect(fmt.Sprintf("%s d1 object-0 initial#0", time.Since(r.begin)))
			r.endTerm()
			r.working.Wait()
			r.change(0)
			time.Sleep(2 * time.Hour)
			r.expect()
		}
		r.startDrain = nil
		r.stop()
	})
}

// TestCleanStopIsNoNews stops while an object fails.
func TestCleanStopIsNoNews(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, handlers.Terminal(errTest)
		}
		r.start(r.definition("d", "1"))
		r.wantState("d", status.Degraded, "as the test wants")
		r.logged()
		r.stop()
		if log := r.logged(); log != "" {
			t.Errorf("a clean stop logs %q", log)
		}
	})
}

// TestEndOfATermForgets has the same on a replica that goes on as a standby: it knows of no
// failure.
func TestEndOfATermForgets(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, handlers.Terminal(errTest)
		}
		r.start(r.definition("d", "1"))
		r.wantState("d", status.Degraded, "as the test wants")
		r.endTerm()
		r.working.Wait()
		r.wantState("d", status.Running, "")
		r.startDrain = nil
		r.stop()
	})
}

// TestDrain ends the drain, or the definition, during a call: it may finish, within the shutdown
// timeout.
func TestDrain(t *testing.T) {
	paused := func(def *config.Definition) { def.Paused = true }
	for name, test := range map[string]struct {
		takes time.Duration
		end   func(r *rig) // nil: the drain
		want  error
		ended time.Duration
	}{
		"in time":              {takes: 20 * time.Second, ended: 20 * time.Second},
		"too late":             {takes: time.Hour, want: errShutdown, ended: 31 * time.Second},
		"too late, by removal": {takes: time.Hour, end: func(r *rig) { r.apply() }, want: errEnded, ended: 31 * time.Second},
		"too late, by a pause": {
			takes: time.Hour, end: func(r *rig) { r.apply(r.definition("d", "1", paused)) }, want: errEnded, ended: 31 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 2, func(r *rig) {
				r.handle = func(ctx context.Context, _ string, _ handlers.Request) (handlers.Result, error) {
					select {
					case <-time.After(test.takes):
					case <-ctx.Done():
					}
					if have := context.Cause(ctx); !errors.Is(have, test.want) {
						t.Errorf("the cause is %v, want %v", have, test.want)
					}
					return handlers.Result{}, ctx.Err()
				}
				r.start(r.definition("d", "1", func(def *config.Definition) { def.Timeout = 2 * time.Hour }))
				time.Sleep(time.Second)
				if test.end != nil {
					test.end(r)
					time.Sleep(time.Hour)
				}
				r.stop()
				r.expect("0s d1 object-0 initial#0", test.ended.String()+" close d1")
				if have := r.metric("kooperd_controller_retries_total", "d"); have != 0 && test.end == nil {
					t.Errorf("%v retries are counted", have)
				}
				if log := r.logged(); strings.Contains(log, "failed") {
					t.Errorf("a call that was canceled counts as failed: %s", log)
				}
			})
		})
	}
}

// TestEndOfATermCancels ends the term during a call, which has no more time.
func TestEndOfATermCancels(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(ctx context.Context, _ string, _ handlers.Request) (handlers.Result, error) {
			<-ctx.Done()
			return handlers.Result{}, ctx.Err()
		}
		r.start(r.definition("d", "1"))
		time.Sleep(time.Second)
		r.endTerm()
		r.working.Wait()
		if took := time.Since(r.begin); took != time.Second {
			t.Errorf("the work ended after %s", took)
		}
		r.startDrain = nil
		r.stop()
	})
}

// TestShutGate has a term that is over by the clocks before its context ends.
func TestShutGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := true
		remaining := func() time.Duration {
			if open {
				return time.Minute
			}
			return 0
		}
		r := newRig(t, 1, func(o *Options) { o.Gate = kube.NewGate(remaining, o.Metrics) })
		r.start(r.definition("d", "1"))
		r.expect("0s d1 object-0 initial#0")
		open = false
		r.change(0)
		time.Sleep(time.Second)
		r.expect()
		r.stop()
	})
}
