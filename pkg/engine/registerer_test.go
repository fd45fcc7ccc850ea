package engine

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// badCollector is a collector that crashes where a test wants. As a value it cannot be hashed.
type badCollector struct {
	prometheus.Collector
	describe, collect func()
	_                 []int
}

func (c badCollector) Describe(ch chan<- *prometheus.Desc) {
	if c.describe != nil {
		c.describe()
	}
	c.Collector.Describe(ch)
}

func (c badCollector) Collect(ch chan<- prometheus.Metric) {
	if c.collect != nil {
		c.collect()
	}
	c.Collector.Collect(ch)
}

// badMetric crashes when it is written.
type badMetric struct {
	prometheus.Gauge
	write func()
}

func (m badMetric) Write(*dto.Metric) error {
	m.write()
	return nil
}

func (m badMetric) Collect(ch chan<- prometheus.Metric) {
	ch <- m
	ch <- m
}

// silent is a collector that describes nothing.
type silent struct{ prometheus.Collector }

func (silent) Describe(chan<- *prometheus.Desc) {}

func asTheTestWants() { panic("as the test wants") }

func gauge(name string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "h"})
}

// gathered returns the names of the metrics that a scrape shows, and its error.
func gathered(registry *prometheus.Registry) (names []string, err error) {
	families, err := registry.Gather()
	for _, family := range families {
		names = append(names, family.GetName())
	}
	return names, err
}

func TestRegistererWithdraws(t *testing.T) {
	registry := prometheus.NewRegistry()
	first := newRegisterer(registry, false)
	first.MustRegister(gauge("a"), silent{gauge("unchecked")})
	if err := newRegisterer(registry, false).Register(gauge("a")); err == nil {
		t.Error("registering the same metric twice is no error")
	}
	first.withdraw()
	second := newRegisterer(registry, false)
	second.MustRegister(gauge("a"), silent{gauge("unchecked")})
	names, err := gathered(registry)
	if diff := cmp.Diff([]string{"a", "unchecked"}, names); diff != "" || err != nil {
		t.Errorf("after the first was withdrawn (-want +have):\n%s, error %v", diff, err)
	}
}

func TestRegistererUnregisters(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRegisterer(registry, false)
	r.MustRegister(gauge("g"))
	if !r.Unregister(gauge("g")) || r.Unregister(gauge("g")) {
		t.Error("unregistering works other than once")
	}
	if r.Unregister(badCollector{Collector: gauge("g"), describe: asTheTestWants}) {
		t.Error("a collector that cannot be described was unregistered")
	}
}

// TestRegistererShowsWhatExists is the usual way to register a metric that may be there already.
func TestRegistererShowsWhatExists(t *testing.T) {
	counter := func() *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls_total", Help: "h"}, []string{"l"})
	}
	registry := prometheus.WrapRegistererWith(prometheus.Labels{"controller": "pods"}, prometheus.NewRegistry())
	r, first, second := newRegisterer(registry, false), counter(), counter()
	r.MustRegister(first)
	already, ok := errors.AsType[prometheus.AlreadyRegisteredError](r.Register(second))
	if !ok {
		t.Fatal("registering the same metric twice is no AlreadyRegisteredError")
	}
	if existing, ok := already.ExistingCollector.(*prometheus.CounterVec); !ok || existing != first {
		t.Errorf("the existing collector is a %T, want the one registered first", already.ExistingCollector)
	}
	if added, ok := already.NewCollector.(*prometheus.CounterVec); !ok || added != second {
		t.Errorf("the new collector is a %T, want the one registered second", already.NewCollector)
	}
}

// TestCrashesOfCollectorsStayTheirOwn has collectors of which each spoils nothing but itself.
func TestCrashesOfCollectorsStayTheirOwn(t *testing.T) {
	bad := gauge("bad")
	panics := func() float64 { panic("as the test wants") }
	tests := map[string]struct {
		collector prometheus.Collector
		register  string // the error of Register
		gather    string // that of a scrape
	}{
		"a panic in Describe": {
			collector: badCollector{Collector: bad, describe: asTheTestWants},
			register:  "describing a handler's metrics: panic: as the test wants",
		},
		"a Goexit in Describe": {
			collector: badCollector{Collector: bad, describe: runtime.Goexit},
			register:  "describing a handler's metrics: runtime.Goexit was called",
		},
		"a panic in Collect": {
			collector: badCollector{Collector: bad, collect: asTheTestWants},
			gather:    "collecting a handler's metrics: panic: as the test wants",
		},
		"a Goexit in Collect": {
			collector: badCollector{Collector: bad, collect: runtime.Goexit},
			gather:    "collecting a handler's metrics: runtime.Goexit was called",
		},
		"a panic in Write": {
			collector: badMetric{Gauge: bad, write: asTheTestWants},
			gather:    "collecting a handler's metrics: panic: as the test wants",
		},
		"a Goexit in Write": {
			collector: badMetric{Gauge: bad, write: runtime.Goexit},
			gather:    "collecting a handler's metrics: runtime.Goexit was called",
		},
		"a GaugeFunc that panics": {
			collector: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bad", Help: "h"}, panics),
			gather:    "collecting a handler's metrics: panic: as the test wants",
		},
		"a CounterFunc that panics": {
			collector: prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "bad_total", Help: "h"}, panics),
			gather:    "collecting a handler's metrics: panic: as the test wants",
		},
		"an unhashable collector that works": {collector: badCollector{Collector: bad}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			r := newRegisterer(prometheus.WrapRegistererWith(prometheus.Labels{"controller": "pods"}, registry), false)
			if err := r.Register(test.collector); !says(err, test.register) {
				t.Errorf("registering: error is %v, want %q", err, test.register)
			}
			r.MustRegister(gauge("good"))
			want := map[string]bool{"good": true}
			if test.register == "" && test.gather == "" {
				want["bad"] = true
			}
			for range 3 {
				names, err := gathered(registry)
				if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), names); diff != "" {
					t.Errorf("metrics (-want +have):\n%s", diff)
				}
				if !says(err, test.gather) {
					t.Errorf("a scrape's error is %v, want %q", err, test.gather)
				}
			}
			r.withdraw()
			if names, err := gathered(registry); err != nil || len(names) > 0 {
				t.Errorf("after withdraw a scrape shows %v, error %v", names, err)
			}
		})
	}
}

// says reports whether err has text in it; for no text, whether it is nil.
func says(err error, text string) bool {
	if text == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), text)
}

// TestRegistererReplaces has a handler that registers the metrics of the one it is going to
// replace.
func TestRegistererReplaces(t *testing.T) {
	registry := prometheus.NewRegistry()
	old, r := newRegisterer(registry, false), newRegisterer(registry, true)
	before, after := gauge("both"), gauge("both")
	before.Set(1)
	after.Set(2)
	old.MustRegister(before, gauge("old"))
	r.MustRegister(after, gauge("new"), gauge("taken_back"))
	if err := r.Register(after); err == nil {
		t.Error("registering twice what is staged is no error")
	}
	both := func(when string, want float64) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil || families[0].GetMetric()[0].GetGauge().GetValue() != want {
			t.Errorf("%s: the metric is %v, error %v, want %v", when, families, err, want)
		}
	}
	both("before", 1)
	old.withdraw()
	if err := r.activate(); err != nil {
		t.Error(err)
	}
	both("after", 2)
	if err := r.Register(gauge("both")); err == nil {
		t.Error("registering twice is no error after the other handler is gone")
	}
	if !r.Unregister(gauge("taken_back")) {
		t.Error("a metric was not unregistered")
	}
	names, err := gathered(registry)
	if diff := cmp.Diff([]string{"both", "new"}, names); diff != "" || err != nil {
		t.Errorf("at the end (-want +have):\n%s, error %v", diff, err)
	}
	r.withdraw()
	if names, err := gathered(registry); err != nil || len(names) > 0 {
		t.Errorf("after withdraw there is %v, error %v", names, err)
	}
}
