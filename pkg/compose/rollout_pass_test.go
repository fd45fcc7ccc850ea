package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// healthy is the annotation that a child of a rolloutRig has when it is ready with what it has.
const healthy = "healthy"

// rolloutRig is a rig whose websites have a page, or several, with a version.
type rolloutRig struct {
	*rig
	limits  config.Rollout
	version string
	pages   []string // which are made
	broken  bool     // the composer fails
	pending []handlers.Pending
	calls   []kube.Key
}

func newRolloutRig(t *testing.T, websites, maxUnavailable int) *rolloutRig {
	t.Helper()
	r := &rolloutRig{limits: config.Rollout{MaxUnavailable: config.Share{Number: maxUnavailable}}, pages: []string{"page"}}
	r.rig = newRig(t, rigOptions{composer: handlers.ComposerFunc(r.compose)})
	r.registry = prometheus.NewRegistry()
	r.begin(t, "1")
	for i := range websites {
		name := fmt.Sprintf("web%d", i)
		r.newWebsite(name, map[string]any{})
		r.mustPass(t, name)
		r.heal(name)
		r.run(t)
	}
	return r
}

func (r *rolloutRig) compose(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	if r.broken {
		return handlers.Composition{}, errors.New("as the test wants")
	}
	c := handlers.Composition{Status: map[string]any{"version": r.version}, Pending: r.pending}
	for _, page := range r.pages {
		child := keyChild(req.Object.Name(), page, r.version)
		child.Policy.Ready = func(o handlers.Object) (bool, string) {
			var page corev1.ConfigMap
			return o.Into(&page) == nil && page.Annotations[healthy] == page.Data["data"], "it is not healthy"
		}
		c.Children = append(c.Children, child)
	}
	return c, nil
}

// begin lets a revision with that version handle the websites, which are not called.
func (r *rolloutRig) begin(t *testing.T, version string) {
	t.Helper()
	r.version, r.Digest, r.waiting = version, version, newWaiting() // A revision has a Reconciler of its own.
	metrics := telemetry.NewMetrics(prometheus.NewRegistry())
	r.registry = metrics.Registry()
	BeginRollout(t.Context(), r.Reconciler, &r.limits, metrics.Controller(definition).Rollout(), func(key kube.Key) { r.calls = append(r.calls, key) })
}

// change is begin, with a pass for every website.
func (r *rolloutRig) change(t *testing.T, version string) {
	t.Helper()
	r.begin(t, version)
	r.all(t)
}

func (r *rolloutRig) websites() (names []string) {
	for _, key := range r.parents.Keys() {
		names = append(names, key.Name)
	}
	slices.Sort(names)
	return names
}

// all handles every website, and those that are called then.
func (r *rolloutRig) all(t *testing.T) {
	t.Helper()
	for _, name := range r.websites() {
		_, _ = r.pass(t, name) // Some fail.
	}
	r.run(t)
}

// run handles the websites that are called, until there are none.
func (r *rolloutRig) run(t *testing.T) {
	t.Helper()
	for range 1000 {
		r.calls = append(r.calls, r.sync()...)
		if len(r.calls) == 0 {
			return
		}
		key := r.calls[0]
		r.calls = slices.DeleteFunc(r.calls, func(other kube.Key) bool { return other == key })
		if r.parent(key.Name) != nil {
			_, _ = r.pass(t, key.Name) // Some fail.
		}
	}
	t.Fatal("the calls have no end")
}

// heal makes the pages of websites ready as they are.
func (r *rolloutRig) heal(websites ...string) {
	r.server.do(func(c *cluster) {
		for id, s := range c.objects {
			parent, _, _ := strings.Cut(id.Name, "-")
			if data, ok := s.tree["data"].(map[string]any); ok && slices.Contains(websites, parent) {
				c.edit(id, "kubectl", annotated(healthy, fmt.Sprint(data["data"])))
			}
		}
	})
}

// has are the websites whose page has a version.
func (r *rolloutRig) has(version string) (websites []string) {
	r.server.do(func(c *cluster) {
		for id, s := range c.objects {
			if data, ok := s.tree["data"].(map[string]any); ok && data["data"] == version && strings.HasSuffix(id.Name, "-page") {
				websites = append(websites, strings.TrimSuffix(id.Name, "-page"))
			}
		}
	})
	slices.Sort(websites)
	return websites
}

func (r *rolloutRig) expect(t *testing.T, what, version string, websites ...string) {
	t.Helper()
	if got := r.has(version); !slices.Equal(got, websites) {
		t.Errorf("%s: %v have version %s, want %v; %s", what, got, version, websites, r.Memory.Rollout.Describe())
	}
}

// states are what the metric says.
func (r *rolloutRig) states(t *testing.T) (all [3]float64) {
	t.Helper()
	for i, state := range []string{"updated", "updating", "held"} {
		all[i] = metricOf(t, r.rig, "kooperd_rollout_parents", state)
	}
	return all
}

func TestRolloutChangesAFewAtATime(t *testing.T) {
	r := newRolloutRig(t, 5, 2)
	if got := r.states(t); got != [3]float64{5, 0, 0} {
		t.Errorf("before the change, the parents are %v", got)
	}
	before := map[ChildID]string{}
	r.server.do(func(c *cluster) {
		for id, s := range c.objects {
			before[id] = s.version
		}
	})
	r.change(t, "2")
	moved := r.has("2")
	if len(moved) != 2 {
		t.Fatalf("%v have changed, want two", moved)
	}
	r.server.do(func(c *cluster) {
		for id, s := range c.objects {
			parent, _, _ := strings.Cut(id.Name, "-")
			if touched := s.version != before[id]; touched != slices.Contains(moved, parent) {
				t.Errorf("%s was touched: %t, and %v have moved", id, touched, moved)
			}
		}
	})
	if got := r.states(t); got != [3]float64{0, 2, 3} {
		t.Errorf("the parents are %v", got)
	}
	want := fmt.Sprintf("rollout: of 5 parents, 0 are updated and ready, 3 are held; 2 are not ready, of 2 that may be: team-a/%s, team-a/%s", moved[0], moved[1])
	if got := r.Memory.Rollout.Describe(); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	if status, _, message := r.conditionOf(moved[0], conditionProgressing); status != "True" || !strings.HasSuffix(message, rolloutNote) {
		t.Errorf("of one that moves, Progressing is %s: %s", status, message)
	}
	r.all(t)
	r.expect(t, "after another pass of each", "2", moved...)
	for range 5 {
		r.heal(r.has("2")...)
		r.run(t)
	}
	r.expect(t, "in the end", "2", r.websites()...)
	if got, said := r.states(t), r.Memory.Rollout.Describe(); got != [3]float64{5, 0, 0} || said != "" {
		t.Errorf("in the end, the parents are %v, and it says %q", got, said)
	}
}

// TestRolloutGoesBack mends a change, and takes another one back, while some parents have it.
func TestRolloutGoesBack(t *testing.T) {
	r := newRolloutRig(t, 4, 1)
	r.change(t, "2")
	moved := r.has("2")
	r.change(t, "3")
	r.expect(t, "of a change that mends it", "3", moved...)
	r.change(t, "1")
	r.expect(t, "when it is taken back", "1", r.websites()...)
	if got := r.Memory.Rollout.Describe(); got != "" {
		t.Errorf("it says %q", got)
	}
}

// TestRolloutKnowsNothingAfterARestart has to look at every parent before one may move.
func TestRolloutKnowsNothingAfterARestart(t *testing.T) {
	r := newRolloutRig(t, 4, 1)
	r.change(t, "2")
	moved := r.has("2")
	if len(moved) != 1 {
		t.Fatalf("%v have moved", moved)
	}
	for range 2 {
		r.Pause()
		r.begin(t, "2")
		r.asked()
		held := slices.DeleteFunc(r.websites(), func(name string) bool { return name == moved[0] })
		for _, name := range append(held, moved[0]) {
			r.mustPass(t, name)
		}
		r.run(t)
		if got := r.asked(); len(got) > 0 {
			t.Errorf("after a restart: requests %v", got)
		}
		r.all(t)
	}
	r.Pause()
	r.heal(moved[0])
	r.sync()
	r.begin(t, "2")
	names := r.websites()
	for _, name := range names[:3] {
		r.mustPass(t, name)
	}
	r.expect(t, "before all have been looked at", "2", moved...)
	if got := r.Memory.Rollout.Describe(); !strings.HasSuffix(got, "; all have to be looked at before one is changed") {
		t.Errorf("it says %q", got)
	}
	r.mustPass(t, names[3])
	r.run(t)
	if got := r.has("2"); len(got) != 2 {
		t.Errorf("when all have been looked at, %v have moved, want one more", got)
	}
}

func TestRolloutLetsNewParentsThrough(t *testing.T) {
	r := newRolloutRig(t, 3, 1)
	r.change(t, "2")
	moved := r.has("2")
	r.newWebsite("new", map[string]any{})
	r.mustPass(t, "new")
	r.expect(t, "a new parent", "2", append([]string{"new"}, moved...)...)
	// One without children that has a status is not new.
	old := r.newWebsite("old", map[string]any{})
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", old.Name()), "kubectl", func(tree map[string]any) {
			tree["status"] = map[string]any{"conditions": []any{map[string]any{"type": conditionReady, "status": "True"}}}
		})
	})
	r.sync()
	r.mustPass(t, "old")
	r.expect(t, "a parent that had no child yet", "2", append([]string{"new"}, moved...)...)
}

// TestRolloutLetsWishesThrough changes parents themselves while others are held.
func TestRolloutLetsWishesThrough(t *testing.T) {
	r := newRolloutRig(t, 4, 1)
	r.change(t, "2")
	moved := r.has("2")
	held := slices.DeleteFunc(r.websites(), func(name string) bool { return name == moved[0] })
	r.setSpec(held[0], map[string]any{"color": "red"})
	r.run(t)
	want := append(slices.Clone(moved), held[0])
	slices.Sort(want)
	r.expect(t, "a parent that was changed", "2", want...)
	// After a restart, its status says so.
	r.Pause()
	r.setSpec(held[1], map[string]any{"color": "red"})
	r.sync()
	r.begin(t, "2")
	r.mustPass(t, held[1])
	want = append(want, held[1])
	slices.Sort(want)
	r.expect(t, "a parent that was changed while nothing was running", "2", want...)
	r.all(t)
	r.expect(t, "the last one", "2", want...)
}

// TestRolloutSetsDriftRight changes children of parents that have what is desired, and of those
// that are held.
func TestRolloutSetsDriftRight(t *testing.T) {
	r := newRolloutRig(t, 3, 1)
	r.change(t, "2")
	moved := r.has("2")[0]
	held := slices.DeleteFunc(r.websites(), func(name string) bool { return name == moved })
	r.heal(moved)
	r.run(t)
	second := slices.DeleteFunc(r.has("2"), func(name string) bool { return name == moved })[0]
	held = slices.DeleteFunc(held, func(name string) bool { return name == second })
	drift := func(name string) {
		r.server.do(func(c *cluster) {
			c.edit(idOf(configMapKind, "team-a", name+"-page"), "kubectl", withData("data", "x"))
		})
		r.run(t)
	}
	drift(moved)
	drift(held[0])
	r.expect(t, "drift of a parent that is held", "x", held...)
	r.server.do(func(c *cluster) { delete(c.objects, idOf(configMapKind, "team-a", moved+"-page")) })
	r.run(t)
	both := []string{moved, second}
	slices.Sort(both)
	r.expect(t, "drift of others", "2", both...)
}

// TestRolloutWithoutThoseThatAreApart pauses and deletes the parent that the others wait for.
func TestRolloutWithoutThoseThatAreApart(t *testing.T) {
	r := newRolloutRig(t, 4, 1)
	r.change(t, "2")
	first := r.has("2")[0]
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", first), "kubectl", annotated(PausedAnnotation, "true"))
	})
	r.run(t)
	if got := r.has("2"); len(got) != 2 {
		t.Fatalf("when one is paused, %v have moved, want one more", got)
	}
	second := slices.DeleteFunc(r.has("2"), func(name string) bool { return name == first })[0]
	uid := r.parent(second).UID()
	r.server.do(func(c *cluster) {
		delete(c.objects, idOf(websiteKind, "team-a", second))
		delete(c.objects, idOf(configMapKind, "team-a", second+"-page"))
	})
	r.sync()
	r.Forget(kube.Key{Namespace: "team-a", Name: second}, uid)
	r.run(t)
	if got := r.has("2"); len(got) != 2 || slices.Contains(got, second) {
		t.Errorf("when one is deleted, %v have moved, want one more", got)
	}
}

// TestRolloutOfAComposerThatFails moves nobody, and calls nobody again and again.
func TestRolloutOfAComposerThatFails(t *testing.T) {
	r := newRolloutRig(t, 3, 1)
	r.broken = true
	r.change(t, "2")
	r.expect(t, "while nobody knows what is desired", "2")
	r.broken = false
	r.all(t)
	if got := r.has("2"); len(got) != 1 {
		t.Errorf("%v have moved, want one", got)
	}
}

// TestRolloutOfDeletions takes a child of every parent away, slowly: the brake does not count what
// has waited.
func TestRolloutOfDeletions(t *testing.T) {
	const websites = 15
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	r := newRolloutRig(t, websites, websites)
	r.now = func() time.Time { return at }
	r.pages = []string{"page", "other"}
	r.change(t, "2")
	r.heal(r.websites()...)
	r.run(t)
	r.limits.MaxUnavailable.Number = 1
	r.Memory.Brake.DefinitionChanged(at)
	r.change(t, "3")
	r.pages = []string{"page"}
	r.Memory.Brake.DefinitionChanged(at)
	r.change(t, "4")
	moved := r.has("4")
	if len(moved) != 1 || r.childrenOf(moved[0]) != 1 {
		t.Fatalf("%v have moved, and %d children are left", moved, r.childrenOf(moved[0]))
	}
	at = at.Add(2 * freeTime)
	for range 2 * websites {
		r.heal(r.has("4")...)
		r.run(t)
	}
	r.expect(t, "in the end", "4", r.websites()...)
	if held := r.Memory.Brake.Held(); held != "" {
		t.Errorf("the brake holds: %s", held)
	}
	for _, name := range r.websites() {
		if n := r.childrenOf(name); n != 1 {
			t.Errorf("%s has %d children", name, n)
		}
	}
}

// TestRolloutPauses has one parent that stays broken, of two that may be.
func TestRolloutPauses(t *testing.T) {
	at := time.Now()
	r := newRolloutRig(t, 5, 2)
	r.now = func() time.Time { return at }
	r.Memory.Rollout.now = r.now
	r.limits.PauseWhen = &config.PauseWhen{NotReady: config.Share{Number: 1}, LongerThan: time.Minute}
	r.change(t, "2")
	bad := r.has("2")[0]
	good := func() []string { return slices.DeleteFunc(r.has("2"), func(name string) bool { return name == bad }) }
	r.heal(good()...)
	r.run(t)
	if got := r.has("2"); len(got) != 3 {
		t.Fatalf("%v have moved, want three", got)
	}
	at = at.Add(2 * time.Minute)
	r.heal(good()...)
	r.run(t)
	if got := r.has("2"); len(got) != 3 {
		t.Errorf("of a rollout that is paused, %v have moved", got)
	}
	if got := r.Memory.Rollout.Describe(); !strings.Contains(got, "it is paused, because 1 have not been ready for longer than 1m0s: team-a/"+bad) {
		t.Errorf("it says %q", got)
	}
	// So it is after a restart: since when it is not ready is in its status.
	r.Pause()
	r.change(t, "2")
	if got := r.has("2"); len(got) != 3 {
		t.Errorf("after a restart, %v have moved", got)
	}
	r.heal(bad)
	r.run(t)
	if got := r.has("2"); len(got) != 5 {
		t.Errorf("when it is mended, %v have moved", got)
	}
}

// TestRolloutEnds takes the bounds away.
func TestRolloutEnds(t *testing.T) {
	r := newRolloutRig(t, 4, 1)
	r.change(t, "2")
	BeginRollout(t.Context(), r.Reconciler, nil, telemetry.NewMetrics(prometheus.NewRegistry()).Controller(definition).Rollout(), nil)
	r.all(t)
	r.expect(t, "without bounds", "2", r.websites()...)
	if status, _, message := r.conditionOf("web0", conditionProgressing); status != "True" || strings.Contains(message, rolloutNote) {
		t.Errorf("Progressing is %s: %s", status, message)
	}
}

func TestOutdated(t *testing.T) {
	current, other := &Desired{hash: "1"}, &Desired{hash: "2"}
	object := &Observed{marks: marks{applied: "1"}}
	for name, tc := range map[string]struct {
		op   Op
		want bool
	}{
		"as desired":                     {Op{Action: Skip, Reason: ReasonCurrent}, false},
		"absent":                         {Op{Action: Create, Reason: ReasonAbsent}, true},
		"changed":                        {Op{Action: Apply, Reason: ReasonChanged}, true},
		"drift":                          {Op{Action: Apply, Reason: ReasonDrift}, false},
		"another definition's":           {Op{Action: Apply, Reason: ReasonMoved}, true},
		"left to others":                 {Op{Action: HandOver, Reason: ReasonReleased}, true},
		"not desired":                    {Op{Action: Delete, Reason: ReasonNotDesired}, true},
		"made anew":                      {Op{Action: Recreate, Reason: ReasonImmutable}, true},
		"adopted":                        {Op{Action: Adopt, Reason: ReasonAdopted}, true},
		"its successor is not ready":     {Op{Action: Wait, Reason: ReasonReplaced}, true},
		"comes later":                    {Op{Action: Wait, Reason: ReasonAfter, Desired: current}, true},
		"comes later, and is as desired": {Op{Action: Wait, Reason: ReasonAfter, Desired: current, Observed: object}, false},
		"comes later, and is not":        {Op{Action: Wait, Reason: ReasonAfter, Desired: other, Observed: object}, true},
		"being deleted":                  {Op{Action: Wait, Reason: ReasonDeleting}, false},
		"its deletion is held":           {Op{Action: Wait, Reason: ReasonPruneHeld}, false},
		"foreign":                        {Op{Action: Refuse, Reason: ReasonForeign}, false},
		"to be read":                     {Op{Action: Read, Reason: ReasonDrift}, false},
	} {
		if got := Outdated([]Op{{Action: Skip}, tc.op}); got != tc.want {
			t.Errorf("%s: outdated %t, want %t", name, got, tc.want)
		}
	}
}

func TestRolloutCountsHeld(t *testing.T) {
	limits := config.Rollout{MaxUnavailable: config.Share{Percent: 10}, PauseWhen: &config.PauseWhen{NotReady: config.Share{Number: 1}, LongerThan: time.Hour}}
	for name, tc := range map[string]struct {
		counts     RolloutCounts
		ready      bool
		wantReason string
	}{
		"none is unready":                        {RolloutCounts{Parents: 21}, true, ""},
		"rounded up":                             {RolloutCounts{Parents: 21, Unavailable: 2, Moved: 2}, true, ""},
		"as many as may be":                      {RolloutCounts{Parents: 21, Unavailable: 3, Moved: 3}, true, "3 are not ready, of 3 that may be"},
		"so many before the change":              {RolloutCounts{Parents: 21, Unavailable: 5, Moved: 1}, true, "5 are not ready, of 3 that may be"},
		"so many before, and this is one":        {RolloutCounts{Parents: 21, Unavailable: 5, Moved: 2}, false, ""},
		"so many after it, and this is not":      {RolloutCounts{Parents: 21, Unavailable: 4, Moved: 3}, false, "4 are not ready, of 3 that may be"},
		"one has not been ready for a long time": {RolloutCounts{Parents: 21, Unavailable: 1, Moved: 1, Overdue: 1}, true, "it is paused, because 1 have not been ready for longer than 1h0m0s"},
	} {
		if got := tc.counts.Held(limits, tc.ready); got != tc.wantReason {
			t.Errorf("%s: held %q, want %q", name, got, tc.wantReason)
		}
	}
}

// TestRolloutOfAMendedChange mends a change that some parents have got, of which one is ready.
func TestRolloutOfAMendedChange(t *testing.T) {
	r := newRolloutRig(t, 4, 1)
	r.change(t, "2")
	r.heal(r.has("2")...)
	r.run(t)
	if got := r.has("2"); len(got) != 2 {
		t.Fatalf("%v have moved, want two", got)
	}
	r.change(t, "3")
	for range 4 {
		r.heal(r.websites()...)
		r.run(t)
	}
	r.expect(t, "in the end", "3", r.websites()...)
}
