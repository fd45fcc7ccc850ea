package engine

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

type panicking struct{ prometheus.Collector }

func (panicking) Collect(chan<- prometheus.Metric) { panic("as the test wants") }

func TestRegistererTakesBackAndStartsAgain(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := func() prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "calls_total", Help: "h"})
	}
	first := newRegisterer(registry)
	first.MustRegister(counter())
	if err := newRegisterer(registry).Register(counter()); err == nil {
		t.Error("registering the same metric twice is no error")
	}
	first.withdraw()
	if err := newRegisterer(registry).Register(counter()); err != nil {
		t.Errorf("registering after the first was taken back: %v", err)
	}
}

func TestRegistererUnregisters(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRegisterer(registry)
	c := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g", Help: "h"})
	r.MustRegister(c)
	if !r.Unregister(c) || r.Unregister(c) {
		t.Error("unregistering works other than once")
	}
}

func TestPanickingCollectorSpoilsItselfOnly(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRegisterer(registry)
	r.MustRegister(panicking{prometheus.NewGauge(prometheus.GaugeOpts{Name: "bad", Help: "h"})},
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "good", Help: "h"}))
	families, err := registry.Gather()
	if err == nil || !strings.Contains(err.Error(), "collecting a handler's metrics: panic: as the test wants") {
		t.Errorf("error is %v, want the panic in it", err)
	}
	if len(families) != 1 || families[0].GetName() != "good" {
		t.Errorf("have %v, want the good metric", families)
	}
}
