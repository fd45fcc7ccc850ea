package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

// TestApplyReplaces has calls under way, retries and requeues when the handler changes.
func TestApplyReplaces(t *testing.T) {
	inRig(t, 4, func(r *rig) {
		r.handle = func(_ context.Context, version string, req handlers.Request) (handlers.Result, error) {
			switch {
			case version == "1" && req.Object.Name() == objectName(0):
				time.Sleep(10 * time.Second)
			case req.Object.Name() == objectName(1):
				return handlers.Result{}, errTest
			case req.Object.Name() == objectName(2):
				return handlers.Result{RequeueAfter: time.Hour}, nil
			}
			return handlers.Result{}, nil
		}
		r.start(r.definition("d", "1", concurrent(4)))
		r.expectInAnyOrder("0s d1 object-0 initial#0", "0s d1 object-1 initial#0", "0s d1 object-2 initial#0", "0s d1 object-3 initial#0")
		time.Sleep(4 * time.Second)
		r.expect("1s d1 object-1 retry#1", "3s d1 object-1 retry#2")
		r.wantChanges(r.apply(r.definition("d", "2", concurrent(4))), Changes{Replaced: []string{"d"}})
		// The one that fails keeps its count; the one that is being handled has to wait.
		r.expectInAnyOrder("4s d2 object-1 initial#3", "4s d2 object-2 initial#0", "4s d2 object-3 initial#0")
		r.change(0)
		time.Sleep(6 * time.Second)
		r.expectInAnyOrder("10s d2 object-0 change#0", "10s close d1")
		time.Sleep(2 * time.Second)
		r.expect("12s d2 object-1 retry#4")
		time.Sleep(time.Hour)
		synctest.Wait()
		r.mu.Lock()
		calls := strings.Join(r.calls, "\n")
		r.calls = nil
		r.mu.Unlock()
		if !strings.Contains(calls, "1h0m4s d2 object-2 requeue#0") || strings.Contains(calls, "d1") {
			t.Errorf("the calls of the next hour are\n%s", calls)
		}
		if n := len(r.api.open(podKind)); n != 1 {
			t.Errorf("%d sources are open, want 1", n)
		}
		r.stop()
	})
}

// TestApplyKeepsTheNumberOfWorkers replaces definitions of all sizes while their workers are busy.
func TestApplyKeepsTheNumberOfWorkers(t *testing.T) {
	for _, test := range []struct{ before, after int }{{1, 1}, {4, 1}, {1, 4}, {5, 3}, {3, 5}} {
		t.Run(fmt.Sprintf("%d to %d", test.before, test.after), func(t *testing.T) {
			inRig(t, 20, func(r *rig) {
				var mu sync.Mutex
				running, most := 0, 0
				r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					time.Sleep(10 * time.Second)
					mu.Lock()
					running--
					mu.Unlock()
					return handlers.Result{}, nil
				}
				r.start(r.definition("d", "1", concurrent(test.before)))
				time.Sleep(5 * time.Second)
				r.apply(r.definition("d", "2", concurrent(test.after)))
				time.Sleep(10 * time.Minute)
				mu.Lock()
				if want := max(test.before, test.after); most > want {
					t.Errorf("%d calls at a time, want at most %d", most, want)
				}
				mu.Unlock()
				r.mu.Lock()
				last := map[string]string{}
				for _, call := range r.calls {
					fields := strings.Fields(call)
					if len(fields) == 4 {
						last[fields[2]] = fields[1]
					}
				}
				r.mu.Unlock()
				for i := range 20 {
					if last[objectName(i)] != "d2" {
						t.Errorf("the last call for %s was of %s", objectName(i), last[objectName(i)])
					}
				}
				r.stop()
			})
		})
	}
}

// TestApplyWaitsForWhatIsReady replaces a definition by one that cannot work yet, for several
// reasons. The old one goes on meanwhile.
func TestApplyWaitsForWhatIsReady(t *testing.T) {
	tests := map[string]struct {
		block, unblock func(r *rig)
		reason         string
		after          time.Duration // when the reason shows
	}{
		"no handler": {
			block: func(r *rig) {
				r.construct = func(_ context.Context, _ handlers.Env, version string) error {
					if version == "2" && time.Since(r.begin) < time.Minute {
						return errTest
					}
					return nil
				}
			},
			unblock: func(*rig) {},
			reason:  "making the test handler: as the test wants",
		},
		"no rights": {
			block: func(r *rig) {
				r.api.lack("d", access.Finding{Message: "forbidden to patch pods"})
			},
			unblock: func(r *rig) { r.api.lack("d") },
			reason:  "forbidden to patch pods",
		},
		"no source": {
			block:   func(r *rig) { r.api.unsynced[podKind] = true },
			unblock: func(r *rig) { r.api.settle(podKind, status.Running, nil) },
			reason:  "the first list takes longer than 10s",
			after:   10 * time.Second,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				r.start(r.definition("d", "1"))
				r.expect("0s d1 object-0 initial#0")
				test.block(r)
				r.apply(r.definition("d", "2"))
				if test.after > 0 {
					time.Sleep(test.after - 1)
					r.wantState("d", status.Running, "")
					r.wantPending(nil)
				}
				time.Sleep(10*time.Second - time.Since(r.begin))
				r.change(0)
				r.expect("10s d1 object-0 change#0")
				r.wantState("d", status.ReloadPending, changeWaits+test.reason)
				r.wantPending(map[string]string{"d": test.reason})
				test.unblock(r)
				time.Sleep(3 * time.Minute)
				r.wantState("d", status.Running, "")
				r.wantPending(nil)
				synctest.Wait()
				r.mu.Lock()
				if n := len(r.calls); n != 2 || !strings.HasSuffix(r.calls[0]+r.calls[1], "d2 object-0 initial#0") && !strings.HasSuffix(r.calls[0], "d2 object-0 initial#0") {
					t.Errorf("calls are %q, want the first one of the new handler", r.calls)
				}
				r.mu.Unlock()
				r.stop()
			})
		})
	}
}

// TestApplyShowsTroubleBeforeAPendingChange has an object that fails under the old definition.
func TestApplyShowsTroubleBeforeAPendingChange(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.construct = func(_ context.Context, _ handlers.Env, version string) error {
			if version == "2" {
				return errTest
			}
			return nil
		}
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			if time.Since(r.begin) < time.Minute {
				return handlers.Result{}, handlers.Terminal(errTest)
			}
			return handlers.Result{}, nil
		}
		r.start(r.definition("d", "1"))
		r.apply(r.definition("d", "2"))
		waits := changeWaits + "making the test handler: as the test wants"
		r.wantState("d", status.Degraded, "until they change; ns/object-0: as the test wants; "+waits)
		time.Sleep(time.Minute)
		r.change(0)
		r.wantState("d", status.ReloadPending, waits)
		r.stop()
	})
}

// TestApplyTwice replaces a definition whose replacement waits, and takes the change back.
func TestApplyTwice(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.construct = func(_ context.Context, _ handlers.Env, version string) error {
			if version == "bad" {
				return errTest
			}
			return nil
		}
		r.start(r.definition("d", "1"))
		r.apply(r.definition("d", "bad"))
		r.wantState("d", status.ReloadPending, "the change of the definition waits")
		r.wantChanges(r.apply(r.definition("d", "1")), Changes{Replaced: []string{"d"}})
		r.wantState("d", status.Running, "")
		r.expect("0s d1 object-0 initial#0")
		r.apply(r.definition("d", "bad"))
		r.apply(r.definition("d", "2"))
		r.wantState("d", status.Running, "")
		r.expectInAnyOrder("0s d2 object-0 initial#0", "0s close d1")
		r.stop()
	})
}

// TestApplyReplacesWhatNeverWorked has nothing to keep.
func TestApplyReplacesWhatNeverWorked(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.construct = func(_ context.Context, _ handlers.Env, version string) error {
			if version == "bad" {
				return errTest
			}
			return nil
		}
		r.start(r.definition("d", "bad"))
		r.wantState("d", status.Degraded, "as the test wants")
		r.apply(r.definition("d", "2"))
		r.expect("0s d2 object-0 initial#0")
		r.stop()
	})
}

// TestApplyChangesMetricsOfHandlers lets both handlers register the same metric.
func TestApplyChangesMetricsOfHandlers(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.construct = func(_ context.Context, env handlers.Env, version string) error {
			g := gauge("version")
			g.Set(float64(version[0] - '0'))
			return env.Metrics.Register(g)
		}
		r.start(r.definition("d", "1"))
		for _, version := range []string{"2", "3"} {
			r.apply(r.definition("d", version))
			if have, want := r.metric("version", "d"), float64(version[0]-'0'); have != want {
				t.Errorf("the metric is that of handler %v, want %v", have, want)
			}
		}
		r.apply()
		r.wantNothing("d")
		r.stop()
	})
}

// TestApplyChangesTheNamespaces forgets what the new definition does not watch.
func TestApplyChangesTheNamespaces(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, handlers.Terminal(errTest)
		}
		elsewhere := func(def *config.Definition) { def.Watch.Namespaces = []string{"elsewhere"} }
		r.start(r.definition("d", "1"))
		r.wantState("d", status.Degraded, "as the test wants")
		r.apply(r.definition("d", "1", elsewhere))
		r.wantState("d", status.Running, "")
		r.expect("0s d1 object-0 initial#0", "0s close d1")
		r.stop()
	})
}

// TestReplacedWhileACallIsStuck changes a definition again and again while a call never returns:
// only its handler and the last one may be kept for that.
func TestReplacedWhileACallIsStuck(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		release := make(chan struct{})
		r.handle = func(_ context.Context, version string, _ handlers.Request) (handlers.Result, error) {
			if version == "1" {
				<-release
			}
			return handlers.Result{}, nil
		}
		r.start(r.definition("d", "1"))
		for version := 2; version <= 5; version++ {
			time.Sleep(time.Second)
			r.apply(r.definition("d", strconv.Itoa(version)))
		}
		time.Sleep(time.Second)
		r.expect("0s d1 object-0 initial#0", "2s close d2", "3s close d3", "4s close d4")
		close(release)
		time.Sleep(time.Second)
		r.expectInAnyOrder("5s close d1", "5s d5 object-0 initial#0")
		r.stop()
	})
}
