package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

func everyReplica(def *config.Definition) { def.EveryReplica = true }

// wantChanges compares changes without those that are kept.
func (r *rig) wantChanges(have, want Changes) {
	r.t.Helper()
	if diff := cmp.Diff(want, have, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Changes{}, "Kept")); diff != "" {
		r.t.Errorf("changes (-want +have):\n%s", diff)
	}
}

// wantPending compares the reasons of the definitions whose change waits.
func (r *rig) wantPending(want map[string]string) {
	r.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, r.Pending(), cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("pending (-want +have):\n%s", diff)
	}
}

// wantNothing fails the test if anything is left of a definition.
func (r *rig) wantNothing(definition string) {
	r.t.Helper()
	synctest.Wait()
	if have, ok := r.shared.board.All()[definition]; ok {
		r.t.Errorf("%s is on the board: %+v", definition, have)
	}
	if n := r.series(definition); n > 0 {
		r.t.Errorf("%s has %d series", definition, n)
	}
	for _, writer := range r.shared.recorders {
		if leaving, ok := writer.Definitions()[definition]; ok && !leaving {
			r.t.Errorf("%s has a recorder, and keeps it", definition)
		}
	}
	if r.controllers[definition] != nil {
		r.t.Errorf("%s has a controller", definition)
	}
}

func TestApplyAddsToWhatRuns(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.start(r.definition("a", "1"))
		r.expect("0s a1 object-0 initial#0")
		r.wantChanges(r.apply(r.definition("a", "1"), r.definition("b", "1")), Changes{Added: []string{"b"}})
		r.expect("0s b1 object-0 initial#0")
		r.change(0)
		r.expectInAnyOrder("0s a1 object-0 change#0", "0s b1 object-0 change#0")
		if n := len(r.api.planned); n != 2 {
			t.Errorf("%d watches are planned, want 2", n)
		}
		r.stop()
	})
}

// expectInAnyOrder is expect for what happens on several goroutines.
func (r *rig) expectInAnyOrder(want ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	less := func(a, b string) bool { return a < b }
	if diff := cmp.Diff(want, r.calls, cmpopts.SortSlices(less)); diff != "" {
		r.t.Errorf("calls (-want +have):\n%s", diff)
	}
	r.calls = nil
}

// TestApplyBeforeATerm changes everything on a standby, and before the engine runs.
func TestApplyBeforeATerm(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.apply(r.definition("a", "1"), r.definition("gone", "1"))
		r.wantState("gone", status.Syncing, "")
		r.wantChanges(r.apply(r.definition("a", "2"), r.definition("b", "1")),
			Changes{Added: []string{"b"}, Replaced: []string{"a"}, Removed: []string{"gone"}})
		r.wantNothing("gone")
		r.run()
		if diff := cmp.Diff([]string{"a", "b"}, r.apply(r.definition("a", "2"), r.definition("b", "1")).Kept); diff != "" {
			t.Errorf("kept (-want +have):\n%s", diff)
		}
		r.apply(r.definition("a", "3"), r.definition("b", "1"))
		r.wantState("a", status.Running, "")
		r.expect("0s close a2")
		r.lead()
		r.expectInAnyOrder("0s a3 object-0 initial#0", "0s b1 object-0 initial#0")
		r.stop()
	})
}

// TestApplyLeavesAloneWhatIsTheSame has a definition with a call under way, a retry, a requeue and
// a rate, while everything around it changes.
func TestApplyLeavesAloneWhatIsTheSame(t *testing.T) {
	inRig(t, 3, func(r *rig) {
		r.handle = func(_ context.Context, version string, req handlers.Request) (handlers.Result, error) {
			switch {
			case version != "same":
			case req.Object.Name() == objectName(0):
				time.Sleep(10 * time.Second)
			case req.Object.Name() == objectName(1) && req.Attempt < 3:
				return handlers.Result{}, errTest
			case req.Object.Name() == objectName(2):
				return handlers.Result{RequeueAfter: 5 * time.Second}, nil
			}
			return handlers.Result{}, nil
		}
		same := r.definition("d", "same", concurrent(3))
		r.start(same, r.definition("other", "1"))
		time.Sleep(1500 * time.Millisecond)
		r.wantChanges(r.apply(r.definition("d", "same", concurrent(3)), r.definition("new", "1"), r.definition("other", "2")),
			Changes{Added: []string{"new"}, Replaced: []string{"other"}})
		r.wantChanges(r.apply(r.definition("d", "same", concurrent(3))), Changes{Removed: []string{"new", "other"}})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		r.mu.Lock()
		var have []string
		for _, call := range r.calls {
			if strings.Contains(call, "dsame") {
				have = append(have, call)
			}
		}
		r.mu.Unlock()
		want := []string{
			"0s dsame object-0 initial#0", "0s dsame object-1 initial#0", "0s dsame object-2 initial#0",
			"1s dsame object-1 retry#1", "3s dsame object-1 retry#2", "7s dsame object-1 retry#3",
			"5s dsame object-2 requeue#0", "10s dsame object-2 requeue#0",
		}
		if diff := cmp.Diff(want, have, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
			t.Errorf("calls (-want +have):\n%s", diff)
		}
		if n := len(r.api.open(podKind)); n != 1 {
			t.Errorf("%d sources are open, want 1", n)
		}
		r.wantNothing("new")
		r.wantNothing("other")
		r.stop()
	})
}

// TestWants follows a group that has a definition at times.
func TestWants(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		is := func(wants <-chan struct{}) bool {
			select {
			case <-wants:
				return true
			default:
				return false
			}
		}
		r.run()
		first := r.Wants(UnderLease)
		for i, step := range []struct {
			definitions []config.Definition
			want        bool
		}{
			{nil, false},
			{[]config.Definition{r.definition("d", "1", everyReplica)}, false},
			{[]config.Definition{r.definition("d", "1", paused)}, false},
			{[]config.Definition{r.definition("d", "1")}, true},
			{[]config.Definition{r.definition("d", "1"), r.definition("e", "1")}, true},
			{[]config.Definition{r.definition("d", "1", paused)}, false},
			{[]config.Definition{r.definition("d", "1")}, true},
		} {
			r.apply(step.definitions...)
			if have := is(r.Wants(UnderLease)); have != step.want || r.Has(UnderLease) != step.want {
				t.Errorf("after step %d the group is wanted: %t, has one: %t, want %t", i, have, r.Has(UnderLease), step.want)
			}
			if have := is(first); have != (i >= 3) {
				t.Errorf("after step %d the first channel is closed: %t", i, have)
			}
		}
		r.stop()
	})
}

// TestApplyRemoves takes away a definition with a call under way.
func TestApplyRemoves(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		r.handle = func(ctx context.Context, _ string, _ handlers.Request) (handlers.Result, error) {
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
			}
			return handlers.Result{RequeueAfter: time.Minute}, ctx.Err()
		}
		r.start(r.definition("d", "1"))
		time.Sleep(time.Second)
		r.wantChanges(r.apply(), Changes{Removed: []string{"d"}})
		r.wantState("d", status.Running, "")
		time.Sleep(time.Hour)
		r.expect("0s d1 object-0 initial#0", "10s close d1")
		r.wantNothing("d")
		if n := len(r.api.open(podKind)); n != 0 {
			t.Errorf("%d sources are open", n)
		}
		r.stop()
	})
}

// TestApplyRemovesWhatIsStuck has a call that ignores the end of its context for a while: the
// definition is there until it returns, and another one of its name waits for that.
func TestApplyRemovesWhatIsStuck(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(_ context.Context, version string, _ handlers.Request) (handlers.Result, error) {
			if version == "1" {
				time.Sleep(time.Hour)
			}
			return handlers.Result{}, nil
		}
		r.start(r.definition("d", "1"))
		r.apply()
		r.apply(r.definition("d", "2"))
		time.Sleep(30 * time.Minute)
		r.expect("0s d1 object-0 initial#0")
		r.wantState("d", status.Degraded, "1 call(s) ignore the deadline")
		time.Sleep(time.Hour)
		r.expect("1h0m0s close d1", "1h0m0s d2 object-0 initial#0")
		r.wantState("d", status.Running, "")
		r.stop()
	})
}

// TestApplyChangesTheLimits changes what all definitions share.
func TestApplyChangesTheLimits(t *testing.T) {
	inRig(t, 9, func(r *rig) {
		var mu sync.Mutex
		running := 0
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			mu.Lock()
			running++
			mu.Unlock()
			time.Sleep(10 * time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return handlers.Result{RequeueAfter: time.Second}, nil
		}
		want := func(most, atLeast int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if running > most || running < atLeast {
				t.Errorf("%d calls are under way, want %d to %d", running, atLeast, most)
			}
		}
		shown := func(want int) {
			t.Helper()
			synctest.Wait()
			have := 0
			r.eachSeries("d", func(family string, _ float64) {
				if family == "kooperd_controller_throttled_seconds_total" {
					have++
				}
			})
			if have != want {
				t.Errorf("the metrics show %d limits, want %d", have, want)
			}
		}
		r.start(r.definition("d", "1", concurrent(8)))
		shown(0)
		want(8, 8)
		d := r.definition("d", "1", concurrent(8))
		r.Apply(&config.Config{Definitions: []config.Definition{d}, Engine: config.Engine{MaxConcurrent: 3}})
		time.Sleep(time.Minute)
		want(3, 3)
		if have := r.metric("kooperd_controller_throttled_seconds_total", "d"); have <= 0 {
			t.Errorf("throttled for %v seconds", have)
		}
		shown(1)
		r.Apply(&config.Config{Definitions: []config.Definition{d}})
		time.Sleep(time.Minute)
		want(8, 6)
		shown(0)
		rated := r.definition("d", "1", concurrent(8), func(def *config.Definition) { def.Rate = config.Rate{PerSecond: 0.1, Burst: 1} })
		r.apply(rated)
		time.Sleep(time.Minute)
		want(2, 1)
		shown(1)
		r.Apply(&config.Config{Definitions: []config.Definition{rated}, Engine: config.Engine{MaxConcurrent: 3}})
		shown(2)
		r.apply(d)
		shown(0)
		r.apply(r.definition("d", "1", paused, func(def *config.Definition) { def.Rate = config.Rate{PerSecond: 0.1, Burst: 1} }))
		shown(0)
		r.stop()
	})
}

// TestApplyUnderLoad changes definitions at random while objects change, and looks for two calls
// for one object, which the handler reports, and for objects that are forgotten.
func TestApplyUnderLoad(t *testing.T) {
	inRig(t, 10, func(r *rig) {
		r.handle = func(_ context.Context, version string, req handlers.Request) (handlers.Result, error) {
			time.Sleep(time.Duration(len(version)*7+len(req.Cause)*13) * time.Millisecond)
			if strings.HasSuffix(req.Object.ResourceVersion(), "3") && req.Attempt == 0 {
				return handlers.Result{}, errTest
			}
			return handlers.Result{}, nil
		}
		for i := range 10 {
			r.api.put(t, secretKind, key(i))
		}
		switches := func(i int) func(*config.Definition) {
			return func(def *config.Definition) {
				if i%7 < 2 {
					def.Watch.Kind = secretKind
				}
				def.EveryReplica, def.Paused = i%11 < 3, i%13 < 2
			}
		}
		r.start(r.definition("a", "0", concurrent(3)), r.definition("b", "0"))
		r.workEverywhere()
		for i := range 200 {
			version := fmt.Sprint(i)
			definitions := []config.Definition{r.definition("a", version, concurrent(1+i%5), switches(i))}
			if i%3 > 0 {
				definitions = append(definitions, r.definition("b", version[:1]))
			}
			r.Apply(&config.Config{Definitions: definitions})
			time.Sleep(time.Duration(i*31%97) * time.Millisecond)
			r.change(i % 10)
			r.api.put(t, secretKind, key(i%10))
		}
		time.Sleep(time.Minute)
		r.mu.Lock()
		last := map[string]bool{}
		for _, call := range r.calls {
			if fields := strings.Fields(call); len(fields) == 4 && fields[1] == "a199" {
				last[fields[2]] = true
			}
		}
		r.calls = nil
		r.mu.Unlock()
		if len(last) != 10 {
			t.Errorf("the last handler of a was called for %d objects, want 10", len(last))
		}
		if n := len(r.api.open(podKind)); n != 2 {
			t.Errorf("%d sources are open, want 2", n)
		}
		r.apply()
		time.Sleep(time.Minute)
		r.wantNothing("a")
		r.wantNothing("b")
		r.stop()
	})
}
