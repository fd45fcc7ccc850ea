package telemetry

import "github.com/prometheus/client_golang/prometheus"

// The values of the label reason of skipped events.
const (
	reasonIgnore = "ignore"
	reasonWhere  = "where"
)

// filterVectors are the metrics of all filters.
type filterVectors struct {
	skipped   *prometheus.CounterVec
	errors    *prometheus.CounterVec
	undecided *prometheus.GaugeVec
}

func newFilterVectors(d *definitionVectors) filterVectors {
	return filterVectors{
		skipped: ofDefinitions(d, counter("kooperd_controller_skipped_events_total",
			"Events that do not call the handler, because of the definition's ignore or where.", labelController, "reason"),
			reasonIgnore, reasonWhere),
		errors: ofDefinitions(d, counter("kooperd_controller_trigger_errors_total",
			"Evaluations of the definition's where that failed; the handler is called all the same.", labelController)),
		undecided: ofDefinitions(d, gauge("kooperd_controller_undecided_objects",
			"Objects that wait for the definition's ignore and where to decide whether the handler is called.", labelController)),
	}
}

// Filter are the metrics of the ignore and where of one definition.
type Filter struct {
	// Ignored counts changes that lie in ignored fields alone.
	Ignored prometheus.Counter
	// Unwanted counts changes, and calls of a resync or at the start, for which the condition does
	// not hold.
	Unwanted prometheus.Counter
	// TriggerErrors counts evaluations of the condition that failed.
	TriggerErrors prometheus.Counter
	// Undecided is the number of objects with changes that may or may not call the handler.
	Undecided prometheus.Gauge
}

func (v filterVectors) of(definition string) Filter {
	return Filter{
		Ignored:       v.skipped.WithLabelValues(definition, reasonIgnore),
		Unwanted:      v.skipped.WithLabelValues(definition, reasonWhere),
		TriggerErrors: v.errors.WithLabelValues(definition),
		Undecided:     v.undecided.WithLabelValues(definition),
	}
}
