package compose

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/events"
	"kooperd.dev/kooperd/pkg/handlers"
)

// dropped is how many events were left out, as the metric says.
func (r *rig) dropped(t *testing.T) (n float64) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "kooperd_events_dropped_total" {
				n += metric.GetCounter().GetValue()
			}
		}
	}
	return n
}

// recorded are the events since the last call.
func (r *rig) recorded() (all []string) {
	for {
		select {
		case event := <-r.events.Events:
			all = append(all, event)
		default:
			return all
		}
	}
}

// refuse makes the API server refuse to write a child, or not any more.
func (r *rig) refuse(name string, err *apierrors.StatusError) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if err == nil || asked.method != http.MethodPatch || asked.path != configMapPath(name) {
			return false
		}
		sendError(w, err)
		return true
	}
}

func notValid(name string) *apierrors.StatusError {
	return apierrors.NewInvalid(configMapKind.GroupKind(), name, nil)
}

// TestNoEventForANewLeader is forbidden to write once, as a leader may be that has just become one.
func TestNoEventForANewLeader(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
	r.refuse("web-a", apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "web-a", errDamaged))
	for attempt, want := range []int{0, 1, 0} {
		if _, err := r.Handle(t.Context(), handlers.Request{Object: r.parent("web"), Attempt: attempt}); err == nil {
			t.Fatal("nothing is refused")
		}
		if got := r.recorded(); len(got) != want {
			t.Errorf("after %d failures, there are events %q, want %d", attempt, got, want)
		}
	}
}

func TestNoEventsWhileAllIsWell(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(3), "data": "1"})
	r.mustPass(t, "web")
	r.sync()
	r.setSpec("web", map[string]any{"data": "2"})
	r.server.do(func(c *cluster) { c.edit(idOf(configMapKind, "team-a", "web-a"), "kubectl", withData("data", "x")) })
	r.sync()
	r.mustPass(t, "web")
	if events := r.recorded(); len(events) > 0 {
		t.Errorf("events %v", events)
	}
}

func TestEventsAboutTroubleAndItsEnd(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(2), "data": "1"})
	r.refuse("web-b", notValid("web-b"))
	for range 5 {
		if _, err := r.pass(t, "web"); err == nil {
			t.Fatal("nothing is refused")
		}
		r.sync()
	}
	if got := r.recorded(); len(got) != 1 || !strings.HasPrefix(got[0], "Warning Invalid applying ConfigMap team-a/web-b: ") {
		t.Errorf("while it lasts, there are events %q", got)
	}
	r.setSpec("web", map[string]any{"fail": true})
	r.sync()
	for range fewFailures + 2 {
		if _, err := r.pass(t, "web"); err == nil {
			t.Fatal("the composer does not fail")
		}
	}
	if got := r.recorded(); len(got) != 0 {
		t.Errorf("what may be over by itself, and what is not known to be over, has events %q", got)
	}
	if _, err := r.Handle(t.Context(), handlers.Request{Object: r.parent("web"), Attempt: fewFailures}); err == nil {
		t.Fatal("the composer does not fail")
	}
	if got := r.recorded(); len(got) != 1 || !strings.HasPrefix(got[0], "Warning ComposeFailed composing: the spec says") {
		t.Errorf("a composer that keeps failing has events %q", got)
	}
	r.refuse("", nil)
	r.setSpec("web", map[string]any{"fail": false})
	r.sync()
	r.mustPass(t, "web")
	r.mustPass(t, "web")
	want := []string{"Normal Recovered ComposeFailed is over", "Normal Recovered Invalid of ConfigMap team-a/web-b is over"}
	if got := r.recorded(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("after the end, there are events %q, want %q", got, want)
	}
	r.sync()
	r.setSpec("web", map[string]any{"children": []any{}})
	r.sync()
	r.mustPass(t, "web")
	want = []string{"Normal Pruned deleted ConfigMap team-a/web-a and 1 more children, which are not desired any more"}
	if got := r.recorded(); !slices.Equal(got, want) {
		t.Errorf("after a deletion, there are events %q, want %q", got, want)
	}
}

// TestEventsHaveABudget has a trouble that comes and goes for an hour, and children that go again
// and again: ten events in an hour tell of either.
func TestEventsHaveABudget(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return at }
	r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
	count := map[string]int{}
	for i := range 60 {
		at = at.Add(time.Minute)
		r.refuse("web-a", nil)
		if i%2 == 0 {
			r.refuse("web-a", notValid("web-a"))
		}
		r.setSpec("web", map[string]any{"data": fmt.Sprint(i), "children": names(1 + i/2%2)})
		r.sync()
		_, _ = r.pass(t, "web") // It fails every other time.
		for _, event := range r.recorded() {
			count[strings.Fields(event)[1]]++
		}
	}
	if n := count["Invalid"] + count["Recovered"]; n < events.SharedBurst-1 || n > 10 {
		t.Errorf("%d events in an hour are about one trouble", n)
	}
	if n := count["Pruned"]; n < events.SharedBurst || n > 10 {
		t.Errorf("%d events are Pruned", n)
	}
	if n := r.dropped(t); n < 10 {
		t.Errorf("%v events were left out", n)
	}
	if n := count["Invalid"] - count["Recovered"]; n != 0 && n != 1 {
		t.Errorf("%d troubles and %d ends", count["Invalid"], count["Recovered"])
	}
}

// TestTroublesThatEndTogether has many, whose end is one event, and two, whose ends are two.
func TestTroublesThatEndTogether(t *testing.T) {
	for n, ends := range map[int][]string{
		maxTroubles: {"Normal Recovered Invalid of ConfigMap team-a/web-a is over, and so are 7 other troubles"},
		6:           {"Normal Recovered Invalid of ConfigMap team-a/web-a is over, and so are 5 other troubles"},
		2:           {"Normal Recovered Invalid of ConfigMap team-a/web-a is over", "Normal Recovered Invalid of ConfigMap team-a/web-b is over"},
	} {
		r := newRig(t, rigOptions{composer: keys})
		r.newWebsite("web", map[string]any{"children": names(n), "data": "1"})
		r.server.answer = func(w http.ResponseWriter, asked request) bool {
			if asked.method != http.MethodPatch || !strings.Contains(asked.path, "/configmaps/") {
				return false
			}
			sendError(w, notValid("it"))
			return true
		}
		if _, err := r.pass(t, "web"); err == nil {
			t.Fatal("nothing is refused")
		}
		if got := r.recorded(); len(got) != n {
			t.Errorf("%d troubles have the events %q", n, got)
		}
		r.refuse("", nil)
		r.sync()
		r.mustPass(t, "web")
		if got := r.recorded(); !slices.Equal(slices.Sorted(slices.Values(got)), ends) {
			t.Errorf("their ends have the events %q, want %q", got, ends)
		}
		r.mustPass(t, "web")
		if got := r.recorded(); len(got) > 0 {
			t.Errorf("later there are %q", got)
		}
	}
}

// TestEventsAboutAnotherMessage has a trouble whose message changes, first in a number.
func TestEventsAboutAnotherMessage(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return at }
	r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
	pass := func(message string) []string {
		t.Helper()
		r.refuse("web-a", apierrors.NewBadRequest(message))
		if _, err := r.pass(t, "web"); err == nil {
			t.Fatal("nothing is refused")
		}
		r.sync()
		return r.recorded()
	}
	for i, want := range []int{1, 0, 1, 0} {
		message := []string{"too large by 17 bytes", "too large by 18 bytes", "the name is wrong", "the name is wrong"}[i]
		if got := pass(message); len(got) != want || want > 0 && !strings.Contains(got[0], message) {
			t.Errorf("after %q, there are events %q, want %d", message, got, want)
		}
	}
	n := 0
	for i := range 60 {
		at = at.Add(time.Second)
		n += len(pass(strings.Repeat("a", i+1)))
	}
	if n > events.SharedBurst/2 {
		t.Errorf("a message that is another one each time has %d events more", n)
	}
}

// TestEventsGoOn has a trouble of which an earlier process has said that it is there, and lets it
// end.
func TestEventsGoOn(t *testing.T) {
	for _, ends := range []bool{false, true} {
		t.Run(fmt.Sprintf("ends %t", ends), func(t *testing.T) {
			r := newRig(t, rigOptions{composer: keys})
			r.newWebsite("web", map[string]any{"children": names(2), "data": "1"})
			r.refuse("web-b", notValid("web-b"))
			pass := func() []string {
				t.Helper()
				_, _ = r.pass(t, "web")
				r.sync()
				return r.recorded()
			}
			if got := pass(); len(got) != 1 {
				t.Fatalf("events %q", got)
			}
			r.Pause() // Whoever begins now knows nothing.
			var want []string
			if ends {
				r.refuse("", nil)
				want = []string{"Normal Recovered Invalid is over"}
			}
			if got := pass(); !slices.Equal(got, want) {
				t.Errorf("events of the next process: %q, want %q", got, want)
			}
			r.refuse("", nil)
			if want = nil; !ends {
				want = []string{"Normal Recovered Invalid of ConfigMap team-a/web-b is over"}
			}
			if got := pass(); !slices.Equal(got, want) {
				t.Errorf("events at the end: %q, want %q", got, want)
			}
		})
	}
}

func TestEventsOfAFight(t *testing.T) {
	r := newFightRig(t)
	r.rivals(t, time.Minute, withData("data", "theirs"))
	r.goOn(t)
	got := r.recorded()
	if len(got) != 2 || !strings.HasPrefix(got[0], `Warning Fight field manager "rival" sets data.data of ConfigMap team-a/web-a`) ||
		got[1] != "Normal Recovered Fight of ConfigMap team-a/web-a is over" {
		t.Errorf("events %q", got)
	}
}

// TestTroubleThatReturns has a trouble whose end nobody was told, because there were too many.
func TestTroubleThatReturns(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return at }
	r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
	pass := func(fails bool, want ...string) {
		t.Helper()
		r.refuse("", nil)
		if fails {
			r.refuse("web-a", notValid("web-a"))
		}
		_, _ = r.pass(t, "web")
		r.sync()
		got := r.recorded()
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Fatalf("events %q, want %q", got, want)
		}
	}
	useUp := func() {
		for i := range events.Burst {
			r.Memory.events.budget.Take(fmt.Sprint("other-", i), reasonRecovered, true, at)
		}
	}
	pass(true, "Warning Invalid")
	useUp()
	pass(false)
	r.setSpec("web", map[string]any{"data": "2", "children": names(1)})
	r.sync()
	pass(true, "Warning Invalid")
	pass(true)
	pass(false)
	at = at.Add(time.Hour)
	pass(false, "Normal Recovered Invalid of ConfigMap team-a/web-a is over")
	pass(false)
}

// TestNoEndThatIsNotKnown begins with a pass that does not find out how the children are.
func TestNoEndThatIsNotKnown(t *testing.T) {
	fails := false
	composer := handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		if fails {
			return handlers.Composition{}, errDamaged
		}
		c, err := keys(ctx, req)
		c.Children = append(c.Children, handlers.Child{Name: "site", Object: untyped(websiteKind, "", "other", map[string]any{})})
		return c, err
	})
	r := newRig(t, rigOptions{composer: composer, owns: []schema.GroupVersionKind{configMapKind, websiteKind}})
	r.newWebsite("web", map[string]any{"data": "1"})
	r.newWebsite("other", nil)
	pass := func() []string {
		t.Helper()
		_, _ = r.pass(t, "web")
		r.sync()
		return r.recorded()
	}
	if got := pass(); len(got) != 1 || !strings.HasPrefix(got[0], "Warning Refused") {
		t.Fatalf("events %q", got)
	}
	r.Pause() // Whoever begins now knows nothing.
	fails = true
	if got := pass(); len(got) != 0 {
		t.Errorf("events %q, though nothing is known", got)
	}
	fails = false
	for range 3 {
		for _, event := range pass() {
			if strings.HasPrefix(event, "Normal Recovered Refused") {
				t.Errorf("event %q, though it goes on", event)
			}
		}
	}
}
