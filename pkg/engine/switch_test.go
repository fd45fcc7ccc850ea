package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

func ofSecrets(def *config.Definition) { def.Watch.Kind = secretKind }

// lasts counts what of a definition must not begin anew while it changes: its series, and the calls
// that they count.
func (r *rig) lasts(definition string) (series int, queued float64) {
	r.t.Helper()
	return r.series(definition), r.metric("kooper_controller_queued_events_total", definition)
}

// wantLasting fails the test if series have come or gone since, or have begun anew.
func (r *rig) wantLasting(definition string, series int, queued float64) {
	r.t.Helper()
	haveSeries, haveQueued := r.lasts(definition)
	if haveSeries != series || haveQueued < queued {
		r.t.Errorf("%s has %d series with %v events, and had %d with %v", definition, haveSeries, haveQueued, series, queued)
	}
}

// TestApplyChangesTheKind has objects of both kinds with the same name. The call for the old one is
// under way, another one fails.
func TestApplyChangesTheKind(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		r.api.put(t, secretKind, key(0))
		r.api.put(t, secretKind, key(7))
		r.handle = func(_ context.Context, version string, req handlers.Request) (handlers.Result, error) {
			switch {
			case version != "1":
				return handlers.Result{}, nil
			case req.Object.Name() == objectName(0):
				time.Sleep(time.Minute)
			}
			return handlers.Result{RequeueAfter: time.Hour}, handlers.Terminal(errTest)
		}
		r.api.unsynced[secretKind] = true
		r.start(r.definition("d", "1", concurrent(2)))
		r.expectInAnyOrder("0s d1 object-0 initial#0", "0s d1 object-1 initial#0")
		r.wantState("d", status.Degraded, "calls keep failing for 1 object(s)")
		series, queued := r.lasts("d")
		r.wantChanges(r.apply(r.definition("d", "2", concurrent(2), ofSecrets)), Changes{Replaced: []string{"d"}})
		r.wantState("d", status.Degraded, "calls keep failing for 1 object(s)")
		time.Sleep(10 * time.Second)
		r.change(1)
		r.expect("10s d1 object-1 change#0")
		r.wantLasting("d", series, queued)

		r.api.settle(secretKind, status.Waiting, errTest)
		r.wantPending(map[string]string{"d": "as the test wants"})
		r.wantState("d", status.Degraded, "; "+changeWaits+"as the test wants")
		r.change(1)
		r.expect("10s d1 object-1 change#0")

		r.api.settle(secretKind, status.Running, nil)
		r.expect("10s d2 object-0 initial#0", "10s d2 object-7 initial#0")
		r.wantState("d", status.Running, "")
		r.wantPending(nil)
		r.change(1)
		time.Sleep(time.Minute)
		r.expect("1m0s close d1")
		r.wantState("d", status.Running, "") // Nothing is known any more of the pod that failed last.
		r.wantLasting("d", series, queued)
		if n := len(r.api.open(podKind)); n != 0 {
			t.Errorf("%d sources of pods are open", n)
		}
		if have := r.metric("kooper_controller_event_queue_length", "d"); have != 0 {
			t.Errorf("the queue has a length of %v", have)
		}
		r.api.put(t, secretKind, key(7))
		r.expect("1m10s d2 object-7 change#0")
		time.Sleep(2 * time.Hour)
		r.expect() // Also no requeue of pods.
		r.stop()
	})
}

// TestApplyCannotChangeTheKind has reasons why the new kind cannot be handled; the old one is.
func TestApplyCannotChangeTheKind(t *testing.T) {
	tests := map[string]struct {
		block  func(r *rig)
		reason string
	}{
		"no handler": {
			block: func(r *rig) {
				r.construct = func(_ context.Context, _ handlers.Env, version string) error {
					if version == "2" {
						return errTest
					}
					return nil
				}
			},
			reason: "making the test handler: as the test wants",
		},
		"no rights": {
			block:  func(r *rig) { r.api.lack("d", access.Finding{Message: "forbidden to patch pods"}) },
			reason: "forbidden to patch pods",
		},
		"no kind": {
			block: func(r *rig) {
				r.api.unsynced[secretKind] = true
				time.AfterFunc(time.Second, func() { r.api.settle(secretKind, status.Waiting, errTest) })
			},
			reason: "as the test wants",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				r.start(r.definition("d", "1"))
				r.expect("0s d1 object-0 initial#0")
				test.block(r)
				r.apply(r.definition("d", "2", ofSecrets))
				time.Sleep(time.Hour)
				r.expect()
				r.wantState("d", status.ReloadPending, changeWaits+test.reason)
				r.change(0)
				r.expect("1h0m0s d1 object-0 change#0")
				r.apply(r.definition("d", "1"))
				r.wantState("d", status.Running, "")
				r.change(0)
				if name == "no handler" {
					r.expect("1h0m0s d1 object-0 change#0")
				} else {
					r.expectInAnyOrder("1h0m0s close d2", "1h0m0s d1 object-0 change#0")
				}
				if n := len(r.api.open(secretKind)); n != 0 {
					t.Errorf("%d sources of secrets are open", n)
				}
				r.stop()
			})
		})
	}
}

// TestApplyKeepsSequentialAcrossKinds changes between two kinds while calls take long.
func TestApplyKeepsSequentialAcrossKinds(t *testing.T) {
	inRig(t, 3, func(r *rig) {
		for i := range 3 {
			r.api.put(t, secretKind, key(i))
		}
		var mu sync.Mutex
		running := 0
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			mu.Lock()
			if running++; running > 1 {
				t.Errorf("%d calls at a time", running)
			}
			mu.Unlock()
			time.Sleep(10 * time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return handlers.Result{}, nil
		}
		r.start(r.definition("d", "1"))
		for _, step := range []func(*config.Definition){ofSecrets, func(*config.Definition) {}, ofSecrets} {
			time.Sleep(15 * time.Second)
			r.apply(r.definition("d", "2", step))
		}
		time.Sleep(time.Hour)
		r.wantState("d", status.Running, "")
		r.stop()
	})
}

// TestApplyChangesTheGroup moves a definition to every replica and back, with a call under way.
func TestApplyChangesTheGroup(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		r.handle = func(_ context.Context, version string, req handlers.Request) (handlers.Result, error) {
			if version != "2" && req.Object.Name() == objectName(0) {
				time.Sleep(50 * time.Second)
			}
			return handlers.Result{}, nil
		}
		var works atomic.Bool
		r.construct = func(_ context.Context, _ handlers.Env, version string) error {
			if version == "2" && !works.Load() {
				return errTest
			}
			return nil
		}
		r.start(r.definition("d", "1", concurrent(2)))
		r.workEverywhere()
		r.expectInAnyOrder("0s d1 object-0 initial#0", "0s d1 object-1 initial#0")
		series, queued := r.lasts("d")
		r.apply(r.definition("d", "2", concurrent(2), everyReplica))
		r.wantState("d", status.ReloadPending, changeWaits+"making the test handler: as the test wants")
		r.endTerm() // The next term is one of what is active, and not of what is wanted.
		r.working.Wait()
		r.lead()
		r.expectInAnyOrder("50s d1 object-0 initial#0", "50s d1 object-1 initial#0")
		works.Store(true)
		time.Sleep(40 * time.Second)
		r.wantState("d", status.Running, "")
		r.change(1)
		r.expect() // The call of the old one has not returned yet.
		r.wantLasting("d", series, queued)
		time.Sleep(10 * time.Second)
		r.expectInAnyOrder("1m40s close d1", "1m40s d2 object-0 initial#0", "1m40s d2 object-1 initial#0")
		r.endTerm() // That is not its term any more.
		r.working.Wait()
		r.change(1)
		r.expect("1m40s d2 object-1 change#0")

		r.apply(r.definition("d", "3", concurrent(2)))
		r.expect("1m40s close d2") // There is no term.
		r.wantState("d", status.Running, "")
		r.lead()
		r.expectInAnyOrder("1m40s d3 object-0 initial#0", "1m40s d3 object-1 initial#0")
		r.wantLasting("d", series, queued)
		r.stop()
	})
}

// TestApplyPauses stops a definition at once, also while a change of it waits, and lets it go on
// when its last call has returned.
func TestApplyPauses(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		r.construct = func(_ context.Context, env handlers.Env, version string) error {
			if version == "bad" {
				return errTest
			}
			return env.Metrics.Register(gauge("of_the_handler"))
		}
		r.handle = func(_ context.Context, version string, req handlers.Request) (handlers.Result, error) {
			if version == "1" && req.Object.Name() == objectName(0) {
				time.Sleep(time.Hour)
			}
			return handlers.Result{RequeueAfter: time.Minute}, handlers.Terminal(errTest)
		}
		r.start(r.definition("d", "1", concurrent(2)))
		r.expectInAnyOrder("0s d1 object-0 initial#0", "0s d1 object-1 initial#0")
		r.apply(r.definition("d", "bad", concurrent(2)))
		series, queued := r.lasts("d")
		r.wantState("d", status.Degraded, changeWaits)
		r.apply(r.definition("d", "1", concurrent(2), paused))
		r.wantState("d", status.Paused, "")
		r.wantPending(nil)
		r.wantLasting("d", series-1, queued) // Without that of the handler.
		if have := r.metric("kooperd_controller_objects_failing", "d"); have != 0 {
			t.Errorf("%v objects fail of a paused definition", have)
		}
		r.change(1)
		time.Sleep(10 * time.Minute)
		r.expect()
		r.wantState("d", status.Paused, "1 call(s) ignore the deadline; ns/object-0")
		r.apply(r.definition("d", "2", concurrent(2)))
		r.apply(r.definition("d", "2", concurrent(2), paused))
		r.apply(r.definition("d", "2", concurrent(2)))
		r.wantLasting("d", series, queued)
		r.expect("10m0s close d2")
		time.Sleep(50 * time.Minute)
		r.expectInAnyOrder("1h0m0s close d1", "1h0m0s d2 object-0 initial#0", "1h0m0s d2 object-1 initial#0")
		r.apply(r.definition("d", "3", concurrent(2), paused))
		r.expect("1h0m0s close d2")
		if n := len(r.api.open(podKind)); n != 0 {
			t.Errorf("%d sources are open", n)
		}
		r.apply()
		r.wantNothing("d")
		r.stop()
	})
}

// TestApplyReservesNoSlotsForPaused counts the definitions that slots are reserved for.
func TestApplyReservesNoSlotsForPaused(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.start(r.definition("d", "1"), r.definition("paused", "1", paused))
		for i, step := range []struct {
			definitions []config.Definition
			want        int
		}{
			{[]config.Definition{r.definition("d", "1"), r.definition("paused", "1")}, 2},
			{[]config.Definition{r.definition("d", "2"), r.definition("paused", "1", paused)}, 1},
			{[]config.Definition{r.definition("d", "2", ofSecrets), r.definition("paused", "1", paused)}, 1},
			{[]config.Definition{r.definition("d", "2", everyReplica)}, 1},
			{nil, 0},
		} {
			r.apply(step.definitions...)
			if have := r.shared.slots.clients; have != step.want {
				t.Errorf("after step %d there are %d clients, want %d", i, have, step.want)
			}
		}
		r.stop()
	})
}
