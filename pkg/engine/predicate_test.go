package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/telemetry"
	"kooperd.dev/kooperd/pkg/trigger"
)

// filterOf compiles a filter.
func filterOf(t *testing.T, kind schema.GroupVersionKind, ignore []string, where string) *trigger.Filter {
	t.Helper()
	var text *string
	if where != "" {
		text = &where
	}
	f, err := new(trigger.Compiler).Filter(kind, ignore, text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func predicateOf(t *testing.T, where string) (*changePredicate, *[]string, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	var log []string
	def := config.Definition{Name: "test", Filter: filterOf(t, schema.GroupVersionKind{}, nil, where)}
	p := newChangePredicate(def, []string{""}, telemetry.NewMetrics(registry).Controller("test"),
		funcr.New(func(_, args string) { log = append(log, args) }, funcr.Options{}), func() {})
	return p, &log, registry
}

// counter returns the value of a series of the definition.
func counter(t *testing.T, registry *prometheus.Registry, name, reason string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			of := map[string]string{}
			for _, label := range m.GetLabel() {
				of[label.GetName()] = label.GetValue()
			}
			if family.GetName() == name && of["controller"] == "test" && of["reason"] == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// A condition that fails calls the handler, is counted each time, and is logged once a minute.
func TestPredicateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, log, registry := predicateOf(t, "object.spec.nothing.there")
		for range 130 {
			if !p.matches(t.Context(), key(1), podNamed(t, key(1)), nil) {
				t.Fatal("a failure is taken for an answer")
			}
			time.Sleep(time.Second)
		}
		if len(*log) != 3 {
			t.Errorf("logged %d times in 130 seconds, want 3: %q", len(*log), *log)
		}
		if have := counter(t, registry, "kooperd_controller_trigger_errors_total", ""); have != 130 {
			t.Errorf("counted %v failures, want 130", have)
		}
		if have := counter(t, registry, "kooperd_controller_skipped_events_total", "where"); have != 0 {
			t.Errorf("counted %v skipped events, want 0", have)
		}
	})
}

func TestPredicateMatches(t *testing.T) {
	p, log, registry := predicateOf(t, `object.metadata.name == "object-1" && oldObject == null`)
	for i, want := range []bool{false, true, false} {
		if have := p.matches(t.Context(), key(i), podNamed(t, key(i)), nil); have != want {
			t.Errorf("%s is wanted: %t, want %t", key(i).Name, have, want)
		}
	}
	if p.matches(t.Context(), key(1), podNamed(t, key(1)), podNamed(t, key(1))) {
		t.Error("an object with a state before is wanted")
	}
	if have := counter(t, registry, "kooperd_controller_skipped_events_total", "where"); have != 3 {
		t.Errorf("counted %v skipped events, want 3", have)
	}
	if len(*log) > 0 {
		t.Errorf("logged %q", *log)
	}
}

// The end of the work is no failure of the condition.
func TestPredicateEnds(t *testing.T) {
	slow := "true"
	for _, x := range "abcdef" {
		slow = fmt.Sprintf("[0,1,2,3,4,5,6,7,8,9].all(%c, %s)", x, slow)
	}
	p, log, registry := predicateOf(t, slow)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p.matches(ctx, key(1), podNamed(t, key(1)), nil) || len(*log) > 0 || counter(t, registry, "kooperd_controller_trigger_errors_total", "") > 0 {
		t.Errorf("the end of the work counts as a failure: %q", *log)
	}
}

// A handler that needs the metadata alone gets no more than that, unless what decides on its calls
// needs it.
func TestWatchOfMetadata(t *testing.T) {
	type none struct{}
	bound := handlerstest.Bind(t, handlers.Plugin[none]{
		Name: "small", Summary: "reads metadata", Schema: "#Config: {}", MetadataOnly: func(none) bool { return true },
		New: func(context.Context, handlers.Env, none) (handlers.Handler, error) { return nil, nil }, //nolint:nilnil // not called
	}, "{}")
	for name, tc := range map[string]struct {
		ignore []string
		where  string
		want   bool
	}{
		"no filter":                 {want: true},
		"ignore":                    {ignore: []string{"metadata.labels"}},
		"where on the metadata":     {where: "oldObject == null || object.metadata.generation > oldObject.metadata.generation", want: true},
		"where on the spec":         {where: "object.spec.size > 1 && object.metadata.name == 'a'"},
		"where on all":              {where: "object != oldObject"},
		"where on nothing":          {where: "oldObject != null", want: true},
		"where on metadata, ignore": {where: "has(object.metadata.labels)", ignore: []string{"status"}},
	} {
		t.Run(name, func(t *testing.T) {
			watches := watchesOf(config.Definition{
				Handler: bound, Filter: filterOf(t, schema.GroupVersionKind{}, tc.ignore, tc.where),
			}, "")
			if have := watches[0].watch.MetadataOnly; have != tc.want {
				t.Errorf("watches the metadata alone: %t, want %t", have, tc.want)
			}
		})
	}
}
