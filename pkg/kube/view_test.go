package kube

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// newView is a view of the given namespaces whose sources do not run; fill puts Pods into them.
func newView(t *testing.T, namespaces ...string) (v *View, fill func(namespace, text string)) {
	t.Helper()
	metrics, _ := newTestMetrics()
	v = &View{}
	for _, ns := range namespaces {
		s := newSource(sourceID{kind: podKind, namespace: ns}, nil, nil, logr.Discard(), metrics.Source("Pod", "v1", ns, ""))
		v.sources = append(v.sources, &sharedSource{source: s})
	}
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
			v, fill := newView(t, namespaces...)
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
	v, fill := newView(t, "payments", "search")
	var lister handlers.Lister = v
	var events []Event
	changes := 0
	cancel := v.Subscribe(func(e Event) {
		if _, ok := lister.Get(e.Key.Namespace, e.Key.Name); !ok {
			t.Errorf("%v was told before it is in the cache", e)
		}
		events = append(events, e)
	}, func() { changes++ })
	fill("payments", "a@1")
	fill("search", "a@2")
	v.sources[1].set(telemetry.Degraded, "forbidden")
	v.sources[1].set(telemetry.Degraded, "forbidden")
	v.sources[1].set(telemetry.Degraded, "not authenticated")
	want := []Event{{Key{"payments", "a"}, Changed}, {Key{"search", "a"}, Changed}}
	if diff := cmp.Diff(want, events); diff != "" || changes != 2 {
		t.Errorf("%d changes of state, want 2; events (-want +got):\n%s", changes, diff)
	}
	cancel()
	fill("payments", "b@3")
	v.sources[0].set(telemetry.Running, "")
	if len(events) != 2 || changes != 2 {
		t.Errorf("told of %v and %d changes after the end of the subscription", events, changes)
	}
}
