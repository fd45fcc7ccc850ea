package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/status"
)

var errTest = errors.New("as the test wants")

func TestWorkHandlesEveryObjectAndEveryChange(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		r.start(r.definition("d", "1"))
		r.expect("0s d1 object-0 initial#0", "0s d1 object-1 initial#0")
		r.change(1)
		r.expect("0s d1 object-1 change#0")
		r.change(5)
		r.api.remove(podKind, key(0))
		r.expect("0s d1 object-5 change#0")
		r.wantState("d", status.Running, "")
		r.stop()
		r.expect("0s close d1")
	})
}

func TestWorkPutsOffWhatItCannotDo(t *testing.T) {
	phase := queue.Spread(queue.Hash(key(0).Namespace, key(0).Name), time.Hour)
	tests := map[string]struct {
		handle func(req handlers.Request) (handlers.Result, error)
		option func(*config.Definition)
		want   []string // in three hours after the first call, with a change after one hour
		state  status.State
		reason string
	}{
		"requeue": {
			handle: func(handlers.Request) (handlers.Result, error) {
				return handlers.Result{RequeueAfter: 59 * time.Minute}, nil
			},
			want:  []string{"59m0s d1 object-0 requeue#0", "1h0m0s d1 object-0 change#0", "1h59m0s d1 object-0 requeue#0", "2h58m0s d1 object-0 requeue#0"},
			state: status.Running,
		},
		"retry": {
			handle: func(req handlers.Request) (handlers.Result, error) {
				if req.Attempt == 3 {
					return handlers.Result{}, nil
				}
				return handlers.Result{}, errTest
			},
			want: []string{
				"1s d1 object-0 retry#1", "3s d1 object-0 retry#2", "7s d1 object-0 retry#3",
				"1h0m0s d1 object-0 change#0", "1h0m1s d1 object-0 retry#1", "1h0m3s d1 object-0 retry#2", "1h0m7s d1 object-0 retry#3",
			},
			state: status.Running,
		},
		"out of retries": {
			handle: func(handlers.Request) (handlers.Result, error) { return handlers.Result{}, errTest },
			option: func(def *config.Definition) { def.Retry.MaxRetries = 1 },
			want:   []string{"1s d1 object-0 retry#1", "1h0m0s d1 object-0 change#0", "1h0m1s d1 object-0 retry#1"},
			state:  status.Degraded, reason: "calls keep failing for 1 object(s), 1 of them not retried until they change; ns/object-0: as the test wants",
		},
		"put off": {
			handle: func(req handlers.Request) (handlers.Result, error) {
				if req.Attempt == 2 {
					return handlers.Result{}, nil
				}
				return handlers.Result{}, fmt.Errorf("asking: %w", handlers.RetryAfter(errTest, 50*time.Minute))
			},
			option: func(def *config.Definition) { def.Retry.MaxRetries = 0 },
			want: []string{
				"50m0s d1 object-0 retry#1", "1h0m0s d1 object-0 change#0", "1h50m0s d1 object-0 retry#1", "2h40m0s d1 object-0 retry#2",
			},
			state: status.Running,
		},
		"terminal": {
			handle: func(handlers.Request) (handlers.Result, error) {
				return handlers.Result{}, handlers.Terminal(errTest)
			},
			want:  []string{"1h0m0s d1 object-0 change#0"},
			state: status.Degraded, reason: "1 of them not retried until they change; ns/object-0: as the test wants",
		},
		"resync": {
			option: func(def *config.Definition) { def.Resync = time.Hour },
			want: []string{
				fmt.Sprintf("%s d1 object-0 resync#0", phase), "1h0m0s d1 object-0 change#0",
				fmt.Sprintf("%s d1 object-0 resync#0", phase+time.Hour), fmt.Sprintf("%s d1 object-0 resync#0", phase+2*time.Hour),
			},
			state: status.Running,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				if test.handle != nil {
					r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
						return test.handle(req)
					}
				}
				option := test.option
				if option == nil {
					option = func(*config.Definition) {}
				}
				r.start(r.definition("d", "1", option))
				r.expect("0s d1 object-0 initial#0")
				time.Sleep(time.Hour)
				r.change(0)
				time.Sleep(2 * time.Hour)
				r.expect(test.want...)
				r.wantState("d", test.state, test.reason)
				r.stop()
			})
		})
	}
}

// TestChangeStartsTheBackoffAnew has an object that changes all the time while its calls fail.
func TestChangeStartsTheBackoffAnew(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, errTest
		}
		r.start(r.definition("d", "1"))
		want := []string{"0s d1 object-0 initial#0"}
		for range 40 {
			time.Sleep(100 * time.Millisecond)
			r.change(0)
			synctest.Wait()
			want = append(want, fmt.Sprintf("%s d1 object-0 change#0", time.Since(r.begin)))
		}
		r.expect(want...)
		time.Sleep(4 * time.Second)
		r.expect("5s d1 object-0 retry#1", "7s d1 object-0 retry#2")
		if have := r.metric("kooperd_controller_retries_total", "d"); have != 2 {
			t.Errorf("%v retries are counted, want 2", have)
		}
		r.stop()
	})
}

// TestCrashesOfAHandler has a sequential handler that crashes at its first call for each object.
func TestCrashesOfAHandler(t *testing.T) {
	for name, test := range map[string]struct {
		crash func()
		want  string
	}{
		"panic":          {asTheTestWants, "panic: as the test wants"},
		"panic(nil)":     {func() { panic(nil) }, "panic: panic called with nil argument"}, //nolint:govet // that is the test
		"runtime.Goexit": {runtime.Goexit, "runtime.Goexit was called"},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 2, func(r *rig) {
				r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
					if req.Attempt < 3 {
						test.crash()
					}
					return handlers.Result{}, nil
				}
				r.start(r.definition("d", "1"))
				r.expect("0s d1 object-0 initial#0", "0s d1 object-1 initial#0")
				time.Sleep(3 * time.Second)
				r.expect("1s d1 object-0 retry#1", "1s d1 object-1 retry#1", "3s d1 object-0 retry#2", "3s d1 object-1 retry#2")
				r.wantState("d", status.Degraded, "calls keep failing for 2 object(s); ns/object-1: "+test.want)
				time.Sleep(4 * time.Second)
				r.expect("7s d1 object-0 retry#3", "7s d1 object-1 retry#3")
				r.wantState("d", status.Running, "")
				for metric, want := range map[string]float64{
					"kooperd_controller_panics_total": 6, "kooperd_controller_retries_total": 6, "kooperd_controller_busy_workers": 0,
				} {
					if have := r.metric(metric, "d"); have != want {
						t.Errorf("%s is %v, want %v", metric, have, want)
					}
				}
				if log := r.logged(); !strings.Contains(log, "handler panicked") || !strings.Contains(log, "reconciler.go") {
					t.Errorf("the log does not show the crash with its stack: %s", log)
				}
				r.stop()
			})
		})
	}
}

func TestTimeout(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(ctx context.Context, _ string, _ handlers.Request) (handlers.Result, error) {
			<-ctx.Done()
			return handlers.Result{}, ctx.Err()
		}
		r.start(r.definition("d", "1"))
		time.Sleep(5 * time.Minute)
		r.expect("0s d1 object-0 initial#0", "1m1s d1 object-0 retry#1", "2m3s d1 object-0 retry#2", "3m7s d1 object-0 retry#3", "4m15s d1 object-0 retry#4")
		r.wantState("d", status.Degraded, "ns/object-0: after the timeout of 1m0s: context deadline exceeded")
		if have := r.metric("kooperd_controller_timeouts_total", "d"); have != 4 {
			t.Errorf("%v timeouts are counted, want 4", have)
		}
		r.stop()
	})
}

// TestOverdue has calls that ignore their deadline, among others, all of which share one timer.
func TestOverdue(t *testing.T) {
	inRig(t, 3, func(r *rig) {
		release := map[string]chan struct{}{objectName(1): make(chan struct{}), objectName(2): make(chan struct{})}
		r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			<-release[req.Object.Name()]
			return handlers.Result{}, nil
		}
		release[objectName(0)] = make(chan struct{})
		close(release[objectName(0)])
		r.start(r.definition("d", "1", concurrent(2)))
		const limit = time.Minute + overdueGrace
		time.Sleep(limit - time.Millisecond)
		r.wantState("d", status.Running, "")
		time.Sleep(time.Millisecond)
		r.wantState("d", status.Degraded, "2 call(s) ignore the deadline; ns/object-")
		close(release[objectName(1)])
		r.wantState("d", status.Degraded, "1 call(s) ignore the deadline; ns/object-2 is being handled since 2000-01-01T00:00:00Z")
		if diff := cmp.Diff([]string{"d: the test handler's Handle for ns/object-2"}, r.Unreturned()); diff != "" {
			t.Errorf("unreturned (-want +have):\n%s", diff)
		}
		close(release[objectName(2)])
		r.wantState("d", status.Running, "")
		r.stop()
		time.Sleep(time.Hour)
	})
}

// TestSyncBarrier begins to work when every source is synced, or is known to be unable to.
func TestSyncBarrier(t *testing.T) {
	for name, test := range map[string]struct {
		state status.State
		err   error
	}{
		"synced":    {state: status.Running},
		"forbidden": {state: status.Degraded, err: errTest},
		"no kind":   {state: status.Waiting, err: errTest},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				r.watchSecretsToo()
				r.api.unsynced[secretKind] = true
				r.start(r.definition("d", "1"))
				r.wantState("d", status.Syncing, "")
				time.Sleep(time.Hour)
				r.expect()
				r.api.settle(secretKind, test.state, test.err)
				r.expect("1h0m0s d1 object-0 initial#0")
				reason := ""
				if test.err != nil {
					reason = "watching Secret: as the test wants"
				}
				r.wantState("d", test.state, reason)
				r.stop()
			})
		})
	}
}

// watchSecretsToo makes definitions watch secrets beside pods, each for the pod of its name.
func (r *rig) watchSecretsToo() {
	r.shared.watchesOf = func(def config.Definition) []watched {
		return append(watchesOf(def, ""), watched{
			watch:  kube.Watch{Kind: secretKind},
			notify: func(e kube.Event, add func(kube.Key)) { add(e.Key) },
		})
	}
}

// TestSeveralWatches handles an object for what happens to others.
func TestSeveralWatches(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		r.watchSecretsToo()
		r.api.put(t, secretKind, key(0))
		notTheFirst := `object.metadata.name != "object-0"`
		r.start(r.definition("d", "1", func(def *config.Definition) { def.Filter = filterOf(t, podKind, nil, notTheFirst) }))
		r.expect("0s d1 object-1 initial#0")
		r.api.put(t, secretKind, key(1))
		r.expect("0s d1 object-1 change#0")
		r.api.remove(secretKind, key(1))
		r.api.put(t, secretKind, key(7))
		r.expect("0s d1 object-1 change#0") // There is no seventh pod.
		r.api.put(t, secretKind, key(0))
		r.expect() // The filter is asked about the pod, whatever calls for it.
		r.stop()
	})
}

// TestUndecidable has a condition that fails for every object, and then for none.
func TestUndecidable(t *testing.T) {
	inRig(t, 3, func(r *rig) {
		r.start(r.definition("d", "1", func(def *config.Definition) {
			def.Filter = filterOf(t, podKind, nil, `object.metadata.name == "object-5" || object.metadata.labels["x"] == "y"`)
		}))
		r.expect("0s d1 object-0 initial#0", "0s d1 object-1 initial#0", "0s d1 object-2 initial#0")
		r.wantState("d", status.Degraded, "every evaluation of where fails, so all changes call the handler; ns/object-2: ")
		r.change(5)
		r.wantState("d", status.Running, "")
		r.stop()
	})
}

func TestMissingRightsShow(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.api.lack("d", access.Finding{Message: "forbidden to patch pods"})
		r.start(r.definition("d", "1"))
		r.expect("0s d1 object-0 initial#0")
		r.wantState("d", status.Degraded, "forbidden to patch pods")
		r.api.lack("d")
		time.Sleep(time.Minute)
		r.wantState("d", status.Running, "")
		r.stop()
	})
}

// TestPausedDefinitionDoesNothing has one beside a definition that works.
func TestPausedDefinitionDoesNothing(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.start(r.definition("d", "1", paused), r.definition("other", "1"))
		r.expect("0s other1 object-0 initial#0")
		r.wantState("d", status.Paused, "")
		r.stop()
		r.expect("0s close other1")
	})
}

func paused(def *config.Definition) { def.Paused = true }
