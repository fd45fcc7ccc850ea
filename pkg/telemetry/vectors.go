package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// histogram has few buckets wherever it has a series for each definition.
func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// nativeHistogram is a histogram that is a native one for a Prometheus that asks for those.
func nativeHistogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

// registered registers a collector and returns it.
func registered[C prometheus.Collector](registry *prometheus.Registry, c C) C {
	registry.MustRegister(c)
	return c
}

// vector is what all vectors have in common.
type vector interface {
	prometheus.Collector
	DeleteLabelValues(labelValues ...string) bool
	DeletePartialMatch(labels prometheus.Labels) int
}

// definitionVectors have series of each definition. They are remembered as they are made, so none
// keeps the series of a definition that is gone.
type definitionVectors struct {
	registry *prometheus.Registry
	made     []definitionVector
}

// definitionVector is a vector whose first label is the definition. It may have a second one.
type definitionVector struct {
	vector vector
	label  string   // the first one, of a vector whose second label can have any value
	values []string // all of the second label
}

// ofDefinitions registers a vector whose first label is the definition, and returns it. Values are
// all that a second label can have.
func ofDefinitions[V vector](d *definitionVectors, v V, values ...string) V {
	d.made = append(d.made, definitionVector{vector: v, values: values})
	return registered(d.registry, v)
}

// ofDefinitionsAndMore is ofDefinitions for a vector whose second label can have any value. To
// remove its series of a definition takes a look at all that there are.
func ofDefinitionsAndMore[V vector](d *definitionVectors, v V, label string) V {
	d.made = append(d.made, definitionVector{vector: v, label: label})
	return registered(d.registry, v)
}

// remove deletes every series of a definition.
func (d *definitionVectors) remove(definition string) {
	for _, of := range d.made {
		switch {
		case of.label != "":
			of.vector.DeletePartialMatch(prometheus.Labels{of.label: definition})
		case len(of.values) == 0:
			of.vector.DeleteLabelValues(definition)
		}
		for _, value := range of.values {
			of.vector.DeleteLabelValues(definition, value)
		}
	}
}

// falseTrue are the values of a label that says whether.
var falseTrue = []string{"false", "true"}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
