package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/status"
)

// Source are the metrics of one source.
type Source struct {
	metrics *Metrics
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
}

// Source returns the metrics of a source.
func (m *Metrics) Source(of SourceLabels) *Source {
	content := "whole"
	if of.MetadataOnly {
		content = "metadata"
	}
	labels := []string{of.Kind, of.APIVersion, of.Namespace, of.Selector, content}
	return &Source{
		metrics:  m,
		labels:   labels,
		Restarts: m.restarts.WithLabelValues(labels...),
		Lists:    m.lists.WithLabelValues(labels...),
		Cached:   m.cached.WithLabelValues(labels...),
	}
}

// SetState records the state of the source.
func (s *Source) SetState(state status.State) {
	for _, other := range status.States() {
		if other == status.Paused {
			continue
		}
		s.metrics.source.WithLabelValues(s.with(other)...).Set(oneIf(other == state))
	}
}

// Remove takes the source's metrics out, when its last user is gone.
func (s *Source) Remove() {
	s.metrics.restarts.DeleteLabelValues(s.labels...)
	s.metrics.lists.DeleteLabelValues(s.labels...)
	s.metrics.cached.DeleteLabelValues(s.labels...)
	for _, state := range status.States() {
		s.metrics.source.DeleteLabelValues(s.with(state)...)
	}
}

func (s *Source) with(state status.State) []string {
	return append(append(make([]string, 0, len(s.labels)+1), s.labels...), string(state))
}
