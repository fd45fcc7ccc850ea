package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// inRemembering is inRig with a history.
func inRemembering(t *testing.T, pods int, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(newRig(t, pods, func(o *Options) { o.HistoryLimit = 1 << 20 }))
	})
}

// podRef names a pod of the rig.
func podRef(i int) statusz.ObjectRef {
	return statusz.ObjectRef{APIVersion: "v1", Kind: "Pod", Namespace: key(i).Namespace, Name: key(i).Name}
}

// in returns what is known of a pod in one definition.
func (r *rig) in(i int) statusz.ObjectIn {
	r.t.Helper()
	report, ok := NewReporter(r.Engine).Object(r.t.Context(), podRef(i))
	if !ok || len(report.Definitions) != 1 {
		r.t.Fatalf("pod %d: %+v", i, report)
	}
	return report.Definitions[0]
}

func TestHandlingsAreRemembered(t *testing.T) {
	inRemembering(t, 2, func(r *rig) {
		var mu sync.Mutex
		var answer error
		result := handlers.Result{}
		r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			time.Sleep(250 * time.Millisecond)
			if req.Object.Name() != objectName(0) {
				return handlers.Result{}, nil
			}
			mu.Lock()
			defer mu.Unlock()
			return result, answer
		}
		r.start(r.definition("pods", "1"))
		time.Sleep(time.Second)
		mu.Lock()
		answer = errors.New("it is\nnot so") //nolint:err113 // it is quoted
		mu.Unlock()
		r.api.put(t, podKind, key(0), func(m *metav1.ObjectMeta) { m.Labels = map[string]string{"app": "web"} })
		time.Sleep(time.Second)
		synctest.Wait()
		failing := r.in(0)
		if failing.Failures != 1 || failing.Error != "it is not so" || !strings.HasPrefix(failing.Waiting, "its retry in ") {
			t.Errorf("failing: %+v", failing)
		}
		mu.Lock()
		answer, result = nil, handlers.Result{RequeueAfter: time.Hour}
		mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		requeued := r.in(0)
		if requeued.Failures != 0 || requeued.Error != "" || !strings.HasPrefix(requeued.Waiting, "its next call in ") || !requeued.Cached || !requeued.Matches {
			t.Errorf("requeued: %+v", requeued)
		}
		began := requeued.Handlings[0].Began
		want := []statusz.Handling{
			{Took: 0.25, Cause: "retry", Attempt: 2, Result: "requeue", Again: began.Add(250*time.Millisecond + time.Hour)},
			{Took: 0.25, Cause: "change", Attempt: 1, Changed: []string{"metadata.labels"}, Result: "retry", Error: "it is not so"},
			{Took: 0.25, Cause: "initial", Attempt: 1, Result: "done"},
		}
		ignore := cmpopts.IgnoreFields(statusz.Handling{}, "Began")
		want[1].Again = requeued.Handlings[1].Began.Add(250*time.Millisecond + time.Second)
		if diff := cmp.Diff(want, requeued.Handlings, ignore); diff != "" {
			t.Errorf("handlings (-want +got):\n%s", diff)
		}
		if got := r.in(1); len(got.Handlings) != 1 || got.Waiting != "nothing" {
			t.Errorf("the other one: %+v", got)
		}
		r.stop()
	})
}

func TestHowCallsEndIsRemembered(t *testing.T) {
	inRemembering(t, 3, func(r *rig) {
		r.handle = func(ctx context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			switch req.Object.Name() {
			case objectName(0):
				panic("too bad")
			case objectName(1):
				return handlers.Result{}, handlers.Terminal(errors.New("never")) //nolint:err113 // it is quoted
			}
			<-ctx.Done()
			return handlers.Result{}, ctx.Err()
		}
		r.start(r.definition("pods", "1", concurrent(3)))
		time.Sleep(time.Millisecond)
		if got := r.in(2); !strings.HasPrefix(got.Waiting, "the end of the call that has begun ") {
			t.Errorf("under way: %+v", got)
		}
		for i, want := range []string{"panic", "terminal"} {
			if got := r.in(i).Handlings[0]; got.Result != want || got.Error == "" || got.Again.IsZero() != (i == 1) {
				t.Errorf("%s: %+v", want, got)
			}
		}
		r.endTerm()
		synctest.Wait()
		if got := r.in(2); got.Handlings[0].Result != "cancelled" || !strings.HasPrefix(got.Waiting, "this replica") {
			t.Errorf("cancelled: %+v", got)
		}
		r.stop()
	})
}

// TestOutOfRetriesIsRemembered has a handler that always fails.
func TestOutOfRetriesIsRemembered(t *testing.T) {
	inRemembering(t, 1, func(r *rig) {
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, errors.New("never") //nolint:err113 // it is quoted
		}
		r.start(r.definition("pods", "1", func(def *config.Definition) { def.Retry.MaxRetries = 1 }))
		time.Sleep(time.Minute)
		var results []string
		for _, h := range r.in(0).Handlings {
			results = append(results, h.Result)
		}
		if last := r.in(0).Handlings[0]; strings.Join(results, " ") != "exhausted retry" || !last.Again.IsZero() {
			t.Errorf("results %v, the last one %+v", results, last)
		}
		definition := allDefinitions(r, 10)[0]
		if list := definition.Objects.Failing; list.Total != 1 || list.GivenUp != 1 || !list.Items[0].GivenUp || !r.in(0).GivenUp {
			t.Errorf("that it was given up is not told: %+v, %+v", list, r.in(0))
		}
		r.stop()
	})
}

// TestHistoryGoes deletes an object, which is remembered until others need the room, and then a
// definition, whose history goes at once.
func TestHistoryGoes(t *testing.T) {
	inRemembering(t, 2, func(r *rig) {
		r.start(r.definition("pods", "1"), r.definition("others", "1"))
		time.Sleep(time.Second)
		r.api.remove(podKind, key(0))
		synctest.Wait()
		report, _ := NewReporter(r.Engine).Object(t.Context(), podRef(0))
		for _, in := range report.Definitions {
			if in.Cached || in.Matches || len(in.Handlings) != 1 {
				t.Errorf("deleted: %+v", in)
			}
		}
		if got := NewReporter(r.Engine).History(); got.Handlings != 4 || got.Objects != 4 {
			t.Errorf("history: %+v", got)
		}
		r.apply(r.definition("pods", "2"))
		time.Sleep(time.Second)
		if got := r.in(1); len(got.Handlings) != 2 { // A changed definition goes on.
			t.Errorf("changed: %+v", got)
		}
		if got := NewReporter(r.Engine).History(); got.Handlings != 3 || got.Objects != 2 {
			t.Errorf("history without a definition: %+v", got)
		}
		r.stop()
	})
}

func TestWithoutHistory(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.start(r.definition("pods", "1"))
		time.Sleep(time.Second)
		r.change(0)
		synctest.Wait()
		if got := r.in(0); got.Handlings != nil || !got.Cached {
			t.Errorf("%+v", got)
		}
		if got := NewReporter(r.Engine).History(); got != (statusz.History{}) {
			t.Errorf("%+v", got)
		}
		if got := allDefinitions(r, 10); got[0].Calls.Total != 2 {
			t.Errorf("%+v", got)
		}
		r.stop()
	})
}

func TestReportOfDefinitions(t *testing.T) {
	inRemembering(t, 30, func(r *rig) {
		r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			time.Sleep(time.Second)
			if req.Object.Name() < objectName(12) { // Those are 0, 1, 10 and 11.
				return handlers.Result{}, errors.New("not this one") //nolint:err113 // it is quoted
			}
			return handlers.Result{}, nil
		}
		slow := func(def *config.Definition) {
			def.Retry.InitialDelay, def.Rate = time.Hour, config.Rate{PerSecond: 0.5, Burst: 1}
		}
		r.start(r.definition("b", "1", concurrent(3)), r.definition("a", "1", slow), r.definition("c", "1", func(def *config.Definition) { def.Paused = true }))
		time.Sleep(3500 * time.Millisecond)
		all := allDefinitions(r, 5)
		if len(all) != 3 || all[0].Name != "a" || all[1].Name != "b" || all[2].State != status.Paused {
			t.Fatalf("%+v", all)
		}
		a, b := all[0], all[1]
		if a.Plugin != "test" || a.APIVersion != "v1" || a.Kind != "Pod" || a.Calls.Workers != 1 || a.Calls.Total != 2 || a.Calls.Failed == 0 ||
			!strings.Contains(a.Queue.Throttled, "0.5 per second") || a.Queue.Waiting < 25 || a.Queue.Oldest < 3 {
			t.Errorf("a: %+v", a)
		}
		if b.Calls.Workers != 3 || b.Calls.Busy != 3 || b.Calls.Total != 9 || b.Calls.P50 < 0.5 || b.Queue.Throttled != "" {
			t.Errorf("b: %+v", b)
		}
		time.Sleep(20 * time.Second)
		b = allDefinitions(r, 3)[1]
		if failing := b.Objects.Failing; failing.Total != 4 || len(failing.Items) != 3 || failing.Items[0].Reason != "not this one" || b.State != status.Degraded {
			t.Errorf("b: %+v", b)
		}
		sources := NewReporter(r.Engine).Sources()
		if len(sources) != 1 || sources[0].Kind != "Pod" || sources[0].Objects != 30 {
			t.Errorf("sources: %+v", sources)
		}
		r.stop()
	})
}

// TestFailuresComeAndGo has one that began earlier, and mends it.
func TestFailuresComeAndGo(t *testing.T) {
	inRemembering(t, 2, func(r *rig) {
		var mu sync.Mutex
		bad := map[string]bool{objectName(1): true}
		r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			if bad[req.Object.Name()] {
				return handlers.Result{}, errors.New("bad") //nolint:err113 // it is quoted
			}
			return handlers.Result{}, nil
		}
		began := time.Now()
		r.start(r.definition("pods", "1"))
		time.Sleep(10 * time.Second)
		mu.Lock()
		bad[objectName(0)] = true
		mu.Unlock()
		r.change(0)
		time.Sleep(time.Minute)
		list := allDefinitions(r, 10)[0].Objects.Failing
		if list.Total != 2 || list.Items[0].Object != podRef(1) || !list.Items[0].Since.Equal(began) || list.Items[1].Object != podRef(0) {
			t.Errorf("failing: %+v", list)
		}
		mu.Lock()
		clear(bad)
		mu.Unlock()
		time.Sleep(time.Hour)
		if list := allDefinitions(r, 10)[0].Objects.Failing; list.Total != 0 || len(list.Items) != 0 {
			t.Errorf("mended: %+v", list)
		}
		r.stop()
	})
}

// TestItemsOfReports: those of the whole, of each definition, and of one.
func TestItemsOfReports(t *testing.T) {
	inRemembering(t, 20, func(r *rig) {
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, handlers.Terminal(errors.New("bad")) //nolint:err113 // it is quoted
		}
		r.start(r.definition("a", "1"), r.definition("b", "1"))
		time.Sleep(time.Minute)
		for _, tc := range []struct {
			items       statusz.Items
			whole, a, b int
		}{
			{statusz.Items{}, 0, 0, 0},
			{statusz.Items{Whole: 30}, 30, 0, 0},
			{statusz.Items{Whole: 3, Each: 7}, 3, 7, 7},
			{statusz.Items{Whole: 100, Each: 100}, 40, 20, 20},
			{statusz.Items{Each: 7, Definition: "b"}, 0, 0, 7},
		} {
			all, whole := NewReporter(r.Engine).Definitions(tc.items)
			for name, list := range map[string]struct {
				statusz.ObjectList

				total, items int
			}{
				"whole": {whole.Failing, 40, tc.whole}, "a": {all[0].Objects.Failing, 20, tc.a}, "b": {all[1].Objects.Failing, 20, tc.b},
			} {
				if list.Total != list.total || len(list.Items) != list.items {
					t.Errorf("%+v: %s has %d of %d, want %d of %d", tc.items, name, len(list.Items), list.Total, list.items, list.total)
				}
				for _, row := range list.Items {
					if row.Definition == "" || row.Object.APIVersion != "v1" || row.Object.Kind != "Pod" || row.Object.Name == "" || row.Reason != "bad" || row.Since.Location() != time.UTC {
						t.Errorf("%s: %+v", name, row)
					}
				}
			}
		}
		r.stop()
	})
}

// allDefinitions are reported with so many items each.
func allDefinitions(r *rig, items int) []statusz.Definition {
	all, _ := NewReporter(r.Engine).Definitions(statusz.Items{Each: items})
	return all
}

// TestConfigIsReported: of the definition alone that was asked for, as it works.
func TestConfigIsReported(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.start(r.definition("pods", "1"), r.definition("others", "1"))
		time.Sleep(time.Second)
		config := func(asked string) string {
			all, _ := NewReporter(r.Engine).Definitions(statusz.Items{Definition: asked})
			if all[0].Name != "others" || all[0].Config != "" || len(all) != 2 {
				t.Errorf("reported are %+v", all)
			}
			return all[1].Config
		}
		if got := config(""); got != "" {
			t.Errorf("nobody has asked for %q", got)
		}
		for _, want := range []string{"kind: Pod\n", "version: \"1\"\n", "timeout: 1m"} {
			if got := config("pods"); !strings.Contains(got, want) {
				t.Errorf("it has no %s:\n%s", want, got)
			}
		}
		r.apply(r.definition("pods", "2"), r.definition("others", "1"))
		time.Sleep(time.Second)
		if got := config("pods"); !strings.Contains(got, "version: \"2\"\n") {
			t.Errorf("after a reload it is:\n%s", got)
		}
		r.stop()
	})
}

func TestSearch(t *testing.T) {
	inRig(t, 30, func(r *rig) {
		r.start(r.definition("pods", "1"))
		from := NewReporter(r.Engine)
		for text, want := range map[string]struct {
			found int
			more  bool
		}{
			"": {found: 10, more: true}, "POD/": {found: 10, more: true}, "pod/" + key(3).Namespace + "/" + key(3).Name: {found: 1}, "no such": {},
			strings.ToUpper(key(7).Name): {found: 1},
		} {
			found, more := from.Search(text, 10)
			if len(found) != want.found || more != want.more {
				t.Errorf("%q finds %d, more: %t", text, len(found), more)
			}
		}
		if found, more := from.Search("pod", 30); len(found) != 30 || more || found[0] != podRef(0) {
			t.Errorf("all: %d, more: %t", len(found), more)
		}
		if _, ok := from.Object(t.Context(), statusz.ObjectRef{Kind: "Node", Name: "n"}); ok {
			t.Error("nobody watches Nodes")
		}
		if report, ok := from.Object(t.Context(), statusz.ObjectRef{Kind: "pod", Namespace: "nowhere", Name: "none"}); !ok || report.Definitions[0].Cached || report.Object.Kind != "Pod" {
			t.Errorf("an object that is not there: %+v", report)
		}
		r.stop()
	})
}

func TestRowsAreTheFirst(t *testing.T) {
	began := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	row := func(i int) statusz.ObjectRow {
		return statusz.ObjectRow{Object: statusz.ObjectRef{Name: fmt.Sprint("o", i%7)}, Since: began.Add(time.Duration(i*37%100) * time.Second)}
	}
	for _, most := range []int{0, 3, 200} {
		list := rows{most: most}
		for i := range 100 {
			if one := row(i); list.takes(false, one.Since) {
				list.insert(one)
			}
		}
		if len(list.list.Items) != min(most, 100) {
			t.Errorf("%d of %d", len(list.list.Items), list.list.Total)
		}
		for i, item := range list.list.Items {
			if !item.Since.Equal(began.Add(time.Duration(i) * time.Second)) {
				t.Errorf("%d: %+v", i, item)
			}
		}
	}
}

// TestErrorsOfHandlersAreRedacted has a handler that quotes the Secret it is called for,
// and a word that it says is secret.
func TestErrorsOfHandlersAreRedacted(t *testing.T) {
	inRemembering(t, 0, func(r *rig) {
		const canary = "canary-4711"
		r.handle = func(ctx context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			var secret corev1.Secret
			if err := req.Object.Into(&secret); err != nil {
				return handlers.Result{}, err
			}
			handlers.Redact(ctx, handlers.NewSecretValue("password-of-a-program"))
			if req.Attempt > 2 {
				panic("no " + canary)
			}
			return handlers.Result{}, fmt.Errorf("%s is not %s, with password-of-a-program", secret.Labels["value"], canary) //nolint:err113 // it is quoted
		}
		def := r.definition("secrets", "1", func(def *config.Definition) { def.Watch.Kind = secretKind })
		r.api.putSecret(t, key(0), canary)
		r.start(def)
		time.Sleep(20 * time.Second)
		report, _ := NewReporter(r.Engine).Object(t.Context(), statusz.ObjectRef{Kind: "Secret", Namespace: key(0).Namespace, Name: key(0).Name})
		log := r.logged()
		texts := fmt.Sprint(report, allDefinitions(r, 5), r.shared.board.All(), log)
		if !strings.Contains(log, "handler panicked") {
			t.Error("it has not panicked")
		}
		if strings.Contains(texts, canary) || strings.Contains(texts, "password-of-a-program") || !strings.Contains(report.Definitions[0].Error, "[REDACTED]") {
			t.Errorf("said: %s", texts)
		}
		r.stop()
	})
}

// putSecret creates a Secret.
func (f *fakeServer) putSecret(t *testing.T, key kube.Key, value string) {
	t.Helper()
	obj, err := handlers.ObjectOf(&corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "u", ResourceVersion: "1"},
		Data: map[string][]byte{"password": []byte(value)},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[secretKind] = map[kube.Key]handlers.Object{key: obj}
}

// TestReportsWhileItWorks is for the race detector.
func TestReportsWhileItWorks(t *testing.T) {
	inRemembering(t, 20, func(r *rig) {
		r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			if req.Object.Name() == objectName(3) {
				return handlers.Result{}, errors.New("bad") //nolint:err113 // it is quoted
			}
			return handlers.Result{RequeueAfter: time.Millisecond}, nil
		}
		r.start(r.definition("pods", "1", concurrent(3)))
		var reading sync.WaitGroup
		for range 4 {
			reading.Go(func() {
				from := NewReporter(r.Engine)
				for i := range 50 {
					from.Definitions(statusz.Items{Whole: 5, Each: 5})
					from.Sources()
					from.Object(t.Context(), podRef(i%20))
					from.Search("1", 3)
					from.History()
					time.Sleep(time.Millisecond)
				}
			})
		}
		for i := range 50 {
			r.change(i % 20)
			if i == 25 {
				r.apply(r.definition("pods", "2", concurrent(2)), r.definition("others", "1"))
			}
			time.Sleep(time.Millisecond)
		}
		reading.Wait()
		r.stop()
	})
}
