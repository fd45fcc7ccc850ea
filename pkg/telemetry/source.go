package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/status"
)

// sourceVectors are the metrics of all sources.
type sourceVectors struct {
	restarts *prometheus.CounterVec
	lists    *prometheus.CounterVec
	cached   *prometheus.GaugeVec
	states   *prometheus.GaugeVec
}

func newSourceVectors(registry *prometheus.Registry) *sourceVectors {
	labels := []string{"kind", "api_version", "namespace", "selector", "content"}
	return &sourceVectors{
		restarts: registered(registry, counter("kooperd_source_watch_restarts_total",
			"Watches opened after the first one of a source.", labels...)),
		lists: registered(registry, counter("kooperd_source_lists_total",
			"Complete lists of a source, the first one included.", labels...)),
		cached: registered(registry, gauge("kooperd_source_cached_objects", "Objects in the cache of a source.", labels...)),
		states: registered(registry, gauge("kooperd_source_state",
			"1 for the state the source is in, 0 for the others.", append(labels, "state")...)),
	}
}

// Source are the metrics of one source.
type Source struct {
	vectors *sourceVectors
	labels  []string

	// Restarts counts watches opened after the first one.
	Restarts prometheus.Counter
	// Lists counts complete lists.
	Lists prometheus.Counter
	// Cached is the number of objects in the cache.
	Cached prometheus.Gauge
}

// SourceLabels distinguish sources.
type SourceLabels struct {
	// Kind and APIVersion are those of the objects.
	Kind, APIVersion string
	// Namespace is empty for the whole cluster.
	Namespace string
	// Selector joins both selectors.
	Selector string
	// MetadataOnly says that the objects are cached without all the rest.
	MetadataOnly bool
	// FieldManager is the one whose fields are kept with the objects; empty for none.
	FieldManager string
}

// Source returns the metrics of a source.
func (v *sourceVectors) Source(of SourceLabels) *Source {
	content := "whole"
	if of.MetadataOnly {
		content = "metadata"
	}
	if of.FieldManager != "" {
		content += ", fields of " + of.FieldManager
	}
	labels := []string{of.Kind, of.APIVersion, of.Namespace, of.Selector, content}
	return &Source{
		vectors:  v,
		labels:   labels,
		Restarts: v.restarts.WithLabelValues(labels...),
		Lists:    v.lists.WithLabelValues(labels...),
		Cached:   v.cached.WithLabelValues(labels...),
	}
}

// SetState records the state of the source.
func (s *Source) SetState(state status.State) {
	for _, other := range status.States() {
		if other.OfSource() {
			s.vectors.states.WithLabelValues(s.with(other)...).Set(oneIf(other == state))
		}
	}
}

// Remove takes the source's metrics out, when its last user is gone.
func (s *Source) Remove() {
	s.vectors.restarts.DeleteLabelValues(s.labels...)
	s.vectors.lists.DeleteLabelValues(s.labels...)
	s.vectors.cached.DeleteLabelValues(s.labels...)
	for _, state := range status.States() {
		s.vectors.states.DeleteLabelValues(s.with(state)...)
	}
}

func (s *Source) with(state status.State) []string {
	return append(append(make([]string, 0, len(s.labels)+1), s.labels...), string(state))
}
