package kube

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// newTestView is a view of the given namespaces whose sources do not run; fill puts Pods into them.
func newTestView(t *testing.T, namespaces ...string) (v *View, fill func(namespace, text string)) {
	t.Helper()
	return newFilteredTestView(t, "", namespaces...)
}

// newFilteredTestView sees the objects alone that a selector selects.
func newFilteredTestView(t *testing.T, selector string, namespaces ...string) (v *View, fill func(namespace, text string)) {
	t.Helper()
	var filter labels.Selector
	if selector != "" {
		var err error
		if filter, err = labels.Parse(selector); err != nil {
			t.Fatal(err)
		}
	}
	metrics, _ := newTestMetrics()
	var sources []viewedSource
	for _, ns := range namespaces {
		s := newSource(sourceID{kind: podKind, namespace: ns}, nil, nil, logr.Discard(), metrics.Source(telemetry.SourceLabels{Kind: "Pod", APIVersion: "v1", Namespace: ns, Selector: ""}))
		sources = append(sources, viewedSource{sharedSource: &sharedSource{source: s}, filter: filter})
	}
	v = newView(nil, sources)
	t.Cleanup(func() { close(v.closing); v.waiting.Wait() })
	return v, func(namespace, text string) {
		p := pod(text)
		p.Namespace = namespace
		for _, s := range v.sources {
			if s.id.namespace == "" || s.id.namespace == namespace {
				if err := s.store.Add(arrival(t, podKind, p)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestViewReads(t *testing.T) {
	for name, namespaces := range map[string][]string{
		"the whole cluster":    {""},
		"namespace by another": {"payments", "search"},
	} {
		t.Run(name, func(t *testing.T) {
			v, fill := newTestView(t, namespaces...)
			fill("payments", "a@1")
			fill("payments", "b@2")
			fill("search", "a@3")
			if obj, ok := v.Get("search", "a"); !ok || obj.ResourceVersion() != "3" {
				t.Errorf("Get(search, a): %v, %t", obj, ok)
			}
			for _, missing := range []Key{{"search", "b"}, {"other", "a"}, {"", "a"}} {
				if _, ok := v.Get(missing.Namespace, missing.Name); ok {
					t.Errorf("Get(%q, %q) found something", missing.Namespace, missing.Name)
				}
			}
			list := func(namespace, selector string) []string {
				parsed, err := labels.Parse(selector)
				if err != nil {
					t.Fatal(err)
				}
				return objectNames(v.List(namespace, parsed))
			}
			for want, got := range map[string][]string{
				"payments/a payments/b search/a": list("", ""),
				"payments/a payments/b":          list("payments", ""),
				"payments/a search/a":            list("", "app=a"),
				"":                               list("other", ""),
			} {
				if strings.Join(got, " ") != want {
					t.Errorf("List found %q, want %q", got, want)
				}
			}
			if keys := v.Keys(); len(keys) != 3 || !slices.Contains(keys, Key{"search", "a"}) {
				t.Errorf("Keys() = %v", keys)
			}
		})
	}
}

func TestViewSubscription(t *testing.T) {
	v, fill := newTestView(t, "payments", "search")
	var lister handlers.Lister = v
	var events []Event
	changes := 0
	cancel := v.Subscribe(func(e Event) {
		if _, ok := lister.Get(e.Key.Namespace, e.Key.Name); !ok {
			t.Errorf("%v was reported before it is in the cache", e)
		}
		events = append(events, e)
	}, func() { changes++ })
	fill("payments", "a@1")
	fill("search", "a@2")
	v.sources[1].status.set(status.Degraded, errors.New("forbidden"))
	v.sources[1].status.set(status.Degraded, errors.New("forbidden"))
	v.sources[1].status.set(status.Degraded, errors.New("not authenticated"))
	want := []Event{{Key: Key{"payments", "a"}, Type: Changed}, {Key: Key{"search", "a"}, Type: Changed}}
	if diff := cmp.Diff(want, events, cmpopts.IgnoreUnexported(Event{})); diff != "" || changes != 2 {
		t.Errorf("%d changes of state, want 2; events (-want +got):\n%s", changes, diff)
	}
	cancel()
	fill("payments", "b@3")
	v.sources[0].status.set(status.Running, nil)
	if len(events) != 2 || changes != 2 {
		t.Errorf("%v and %d changes are reported after the end of the subscription", events, changes)
	}
}

// A view that sees a part of a source sees objects come and go as they begin and cease to match.
func TestFilteredView(t *testing.T) {
	v, _ := newFilteredTestView(t, "app=a", "")
	s := v.sources[0].store
	s.hooks = storeHooks{event: v.sources[0].emit, replaced: func() {}, received: func() {}}
	var reported []string
	defer v.Subscribe(func(e Event) {
		reported = append(reported, map[EventType]string{Listed: "listed ", Changed: "changed ", Deleted: "deleted "}[e.Type]+e.Key.Name)
	}, func() {})()
	step := func(want []string, do func() error) {
		t.Helper()
		reported = nil
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, reported); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
	}
	relabelled := func(text, app string) any {
		p := pod(text)
		p.Labels["app"] = app
		return arrival(t, podKind, p)
	}
	step([]string{"listed a"}, func() error { return s.Replace(pods(t, "a@1", "b@2"), "2") })
	step(nil, func() error { return s.Update(relabelled("b@3", "c")) })
	step([]string{"changed b"}, func() error { return s.Update(relabelled("b@4", "a")) })
	step([]string{"changed b"}, func() error { return s.Update(relabelled("b@5", "a")) })
	if keys := v.Keys(); len(keys) != 2 || len(v.List("", nil)) != 2 {
		t.Errorf("keys %v, %d objects, want 2", keys, len(v.List("", nil)))
	}
	step([]string{"deleted b"}, func() error { return s.Update(relabelled("b@6", "b")) })
	if _, ok := v.Get("payments", "b"); ok || len(v.Keys()) != 1 || len(v.List("payments", nil)) != 1 {
		t.Errorf("an object that does not match is there: keys %v", v.Keys())
	}
	step(nil, func() error { return s.Delete(relabelled("b@7", "b")) })
	step([]string{"deleted a"}, func() error { return s.Delete(relabelled("a@8", "a")) })
}

func TestViewGetByUID(t *testing.T) {
	v, _ := newFilteredTestView(t, "app=a", "payments", "search")
	put := func(namespace, text string) {
		p := pod(text)
		p.Namespace = namespace
		sourceIn, _ := v.sourceOf(namespace)
		if err := sourceIn.store.Add(arrival(t, podKind, p)); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(uid types.UID, want string) {
		t.Helper()
		have := ""
		if obj, ok := v.GetByUID(uid); ok {
			have = obj.Namespace() + "/" + obj.Name() + "@" + obj.ResourceVersion()
		}
		if have != want {
			t.Errorf("%q is %q, want %q", uid, have, want)
		}
	}
	expect("a1", "")
	put("payments", "a@1")
	put("search", "a@2#-search")
	put("search", "b@3")
	expect("a1", "payments/a@1")
	expect("a-search", "search/a@2")
	expect("b1", "") // The view does not see it.
	expect("", "")
	put("payments", "a@4")
	expect("a1", "payments/a@4")
	put("payments", "a@5#2") // another object of that name
	expect("a1", "")
	expect("a2", "payments/a@5")
	if err := v.sources[0].store.Delete(arrival(t, podKind, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "payments", Name: "a"}})); err != nil {
		t.Fatal(err)
	}
	expect("a2", "")
}

// A view is listed as long as all of its caches are complete, whatever has become of the watches.
func TestViewListed(t *testing.T) {
	v, _ := newTestView(t, "payments", "search")
	expect := func(when string, want bool) {
		t.Helper()
		if have := v.Listed(); have != want {
			t.Errorf("%s: listed: %t, want %t", when, have, want)
		}
	}
	replace := func(s viewedSource) {
		t.Helper()
		s.store.hooks.replaced = func() {}
		if err := s.store.Replace(nil, "1"); err != nil {
			t.Fatal(err)
		}
	}
	one, other := v.sources[0], v.sources[1]
	expect("at the start", false)
	replace(one)
	expect("one is listed", false)
	other.status.set(status.Degraded, errForbidden)
	expect("the other cannot be", false)
	replace(other)
	expect("both are listed", true)
	other.status.set(status.Running, nil)
	expect("and run", true)
	one.status.set(status.Degraded, errDown)
	expect("the API server is down", true)
	one.status.set(status.Waiting, errNotFound)
	expect("the kind may be gone", false)
	one.status.set(status.Syncing, nil)
	expect("it was not", true)
	one.store.clear()
	expect("it was", false)
	replace(one)
	expect("it is back", true)
}
