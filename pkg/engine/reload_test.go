package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

// life is everything that can be seen of the definition "same" in ten minutes.
type life struct {
	Calls  []string
	Series map[string]float64
	Made   int // handlers
	Status status.Status
	Source *fakeSource
}

// liveTenMinutes runs a definition that has calls under way, retries, requeues, a resync and a
// rate. No two of them happen at one moment, so their order is always the same. revise is called
// fifty times meanwhile.
func (r *rig) liveTenMinutes(revise func(same config.Definition, i int)) life {
	var seen life
	r.construct = func(_ context.Context, env handlers.Env, version string) error {
		switch {
		case env.Definition == "same":
			r.mu.Lock()
			seen.Made++
			r.mu.Unlock()
		case version == "bad":
			return errTest
		}
		return nil
	}
	r.handle = func(_ context.Context, version string, req handlers.Request) (handlers.Result, error) {
		switch {
		case version != "same":
			time.Sleep(3 * time.Second)
		case req.Object.Name() == objectName(0):
			time.Sleep(50029 * time.Millisecond)
		case req.Object.Name() == objectName(1):
			return handlers.Result{}, errTest
		case req.Object.Name() == objectName(2):
			return handlers.Result{RequeueAfter: 7017 * time.Millisecond}, nil
		}
		return handlers.Result{}, nil
	}
	same := r.definition("same", "same", concurrent(3), func(def *config.Definition) {
		def.Resync, def.Rate = 5*time.Minute, config.Rate{PerSecond: 0.77, Burst: 3}
	})
	r.start(same)
	r.workEverywhere()
	seen.Source = r.api.open(podKind)[0]
	for i := range 50 {
		revise(same, i)
		time.Sleep(5003 * time.Millisecond)
		r.change(i % 5)
		time.Sleep(7011 * time.Millisecond)
	}
	synctest.Wait()
	seen.Status = r.shared.board.Get("same")
	seen.Series = map[string]float64{}
	r.eachSeries("same", func(family string, value float64) { seen.Series[family] += value })
	if have := r.api.open(podKind); len(have) != 1 || have[0] != seen.Source {
		r.t.Errorf("the source of the definition is not the same one: %v", have)
	}
	seen.Source = nil
	r.mu.Lock()
	for _, call := range r.calls {
		if strings.Contains(call, " samesame ") {
			seen.Calls = append(seen.Calls, call)
		}
	}
	r.mu.Unlock()
	slices.Sort(seen.Calls)
	r.stop()
	return seen
}

// TestApplyDoesNotTouchWhatIsTheSame compares ten minutes in which everything else changes with ten
// minutes in which nothing does.
func TestApplyDoesNotTouchWhatIsTheSame(t *testing.T) {
	var quiet, busy life
	inRig(t, 5, func(r *rig) { quiet = r.liveTenMinutes(func(config.Definition, int) {}) })
	inRig(t, 5, func(r *rig) {
		for i := range 5 {
			r.api.put(t, secretKind, key(i))
		}
		busy = r.liveTenMinutes(func(same config.Definition, i int) {
			definitions := []config.Definition{same}
			for j := range 5 {
				if (i+j)%4 > 0 {
					version := []string{"1", "2", "bad"}[(i+2*j)%3]
					definitions = append(definitions, r.definition(fmt.Sprint("other-", j), version, ofSecrets, func(def *config.Definition) {
						def.Paused, def.EveryReplica = (i+j)%7 == 0, (i+j)%5 == 0
					}))
				}
			}
			if have := r.apply(definitions...); !slices.Contains(have.Kept, "same") {
				t.Errorf("revision %d keeps %v", i, have.Kept)
			}
		})
	})
	if diff := cmp.Diff(quiet, busy); diff != "" {
		t.Errorf("changes of others were noticed (-without +with):\n%s", diff)
	}
	if len(quiet.Calls) < 50 || quiet.Made != 1 {
		t.Errorf("there were %d calls of %d handlers", len(quiet.Calls), quiet.Made)
	}
}

// TestApplyRevisionOfManyFates has three definitions that cannot change yet, among others that can.
func TestApplyRevisionOfManyFates(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.api.put(t, secretKind, key(8))
		r.api.unsynced[secretKind] = true
		r.construct = func(_ context.Context, env handlers.Env, version string) error {
			if env.Definition == "no-handler" && version == "2" && time.Since(r.begin) < time.Hour {
				return errTest
			}
			return nil
		}
		names := []string{"changed", "gone", "no-handler", "no-kind", "no-right", "same"}
		var before, want []string
		var definitions []config.Definition
		for _, name := range names {
			definitions = append(definitions, r.definition(name, "1"))
			before = append(before, fmt.Sprintf("0s %s1 object-0 initial#0", name))
		}
		r.start(definitions...)
		r.expectInAnyOrder(before...)
		r.logged()

		r.api.lack("no-right", access.Finding{Message: "forbidden to patch pods"})
		r.wantChanges(r.apply(
			r.definition("changed", "2"), r.definition("new", "1"), r.definition("no-handler", "2"),
			r.definition("no-kind", "2", ofSecrets), r.definition("no-right", "2"), r.definition("same", "1"),
		), Changes{
			Added: []string{"new"}, Removed: []string{"gone"},
			Replaced: []string{"changed", "no-handler", "no-kind", "no-right"},
		})
		r.api.settle(secretKind, status.Waiting, errTest)
		r.expectInAnyOrder("0s changed2 object-0 initial#0", "0s new1 object-0 initial#0", "0s close changed1", "0s close gone1")
		pending := map[string]string{
			"no-handler": "making the test handler: as the test wants",
			"no-kind":    "as the test wants",
			"no-right":   "forbidden to patch pods",
		}
		r.wantPending(pending)
		log := r.logged()
		for name, reason := range pending {
			r.wantState(name, status.ReloadPending, changeWaits+reason)
			if line := fmt.Sprintf(`"controller"=%q "state"="ReloadPending" "was"="Running" "reason"=%q`, name, changeWaits+reason); !strings.Contains(log, line) {
				t.Errorf("the log does not say %s:\n%s", line, log)
			}
		}
		for _, name := range []string{"changed", "new", "same"} {
			r.wantState(name, status.Running, "")
		}
		r.wantNothing("gone")
		r.change(0)
		for _, call := range []string{"changed2", "new1", "no-handler1", "no-kind1", "no-right1", "same1"} {
			want = append(want, fmt.Sprintf("0s %s object-0 change#0", call))
		}
		r.expectInAnyOrder(want...)

		r.api.settle(secretKind, status.Running, nil)
		r.expectInAnyOrder("0s no-kind2 object-8 initial#0", "0s close no-kind1")
		delete(pending, "no-kind")
		r.wantPending(pending)
		r.api.lack("no-right")
		time.Sleep(2 * time.Hour)
		r.wantPending(nil)
		r.change(0)
		synctest.Wait()
		r.mu.Lock()
		last := r.calls[len(r.calls)-5:]
		r.mu.Unlock()
		for _, call := range []string{"changed2", "new1", "no-handler2", "no-right2", "same1"} {
			if !slices.Contains(last, fmt.Sprintf("2h0m0s %s object-0 change#0", call)) {
				t.Errorf("the last calls are %q, want one of %s", last, call)
			}
		}
		r.stop()
	})
}

// TestApplyLeavesNothingOfARemovedDefinition adds and removes definitions of all states, with calls
// and changes under way.
func TestApplyLeavesNothingOfARemovedDefinition(t *testing.T) {
	inRig(t, 3, func(r *rig) {
		r.construct = func(ctx context.Context, env handlers.Env, version string) error {
			switch version {
			case "bad":
				return errTest
			case "slow":
				<-ctx.Done()
				return ctx.Err()
			}
			return env.Metrics.Register(gauge("of_the_handler"))
		}
		r.handle = func(ctx context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			switch req.Object.Name() {
			case objectName(0):
				<-ctx.Done()
				return handlers.Result{}, ctx.Err()
			case objectName(1):
				return handlers.Result{}, errTest
			}
			return handlers.Result{RequeueAfter: time.Minute}, nil
		}
		r.start(r.definition("stays", "1", paused))
		r.workEverywhere()
		before := goleak.IgnoreCurrent()
		versions := []string{"1", "bad", "slow"}
		for i, version := range versions {
			for j, option := range []func(*config.Definition){ofSecrets, everyReplica, paused, concurrent(3)} {
				name := fmt.Sprintf("d-%d-%d", i, j)
				rate := func(def *config.Definition) { def.Rate = config.Rate{PerSecond: 1, Burst: 1} }
				for k, other := range versions {
					definitions := []config.Definition{r.definition("stays", "1", paused)}
					first := append(slices.Clone(definitions), r.definition(name, version, option, rate))
					r.Apply(&config.Config{Definitions: first, Engine: config.Engine{MaxConcurrent: k}})
					time.Sleep(time.Second)
					r.apply(append(slices.Clone(definitions), r.definition(name, other, concurrent(2)))...)
					time.Sleep(time.Second)
					r.apply(definitions...)
					time.Sleep(time.Minute)
					r.wantNothing(name)
				}
			}
		}
		for _, writer := range r.shared.recorders {
			if n := len(writer.Definitions()); n > 0 {
				t.Errorf("%d definitions have a recorder", n)
			}
		}
		if n := len(r.api.open(podKind)) + len(r.api.open(secretKind)); n > 0 {
			t.Errorf("%d sources are open", n)
		}
		if len(r.controllers) != 1 || r.shared.slots.clients != 0 || r.shared.slots.inUse != 0 {
			t.Errorf("there are %d controllers, want 1, with %d clients that have %d slots",
				len(r.controllers), r.shared.slots.clients, r.shared.slots.inUse)
		}
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
		r.stop()
	})
}
