package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Reasons why an event was not written, as pkg/events names them.
var dropReasons = []string{"budget", "queue", "refused", "timeout"}

func newEventVector(d *definitionVectors) *prometheus.CounterVec {
	return ofDefinitions(d, counter("kooperd_events_dropped_total",
		"Kubernetes events that were not written, by why: the definition or the object has had too many, too many waited, "+
			"the request was refused, or the API server could not be reached for minutes.",
		labelController, "reason"), dropReasons...)
}

// Events is the metric of the Kubernetes events of one definition. It is safe for concurrent use.
type Events struct{ dropped map[string]prometheus.Counter }

func eventsOf(v *prometheus.CounterVec, definition string) Events {
	e := Events{dropped: map[string]prometheus.Counter{}}
	for _, reason := range dropReasons {
		e.dropped[reason] = v.WithLabelValues(definition, reason)
	}
	return e
}

// EventDropped counts an event that was not written.
func (e Events) EventDropped(reason string) {
	if counter := e.dropped[reason]; counter != nil {
		counter.Inc()
	}
}
