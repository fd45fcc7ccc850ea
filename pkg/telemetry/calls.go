package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// callDurations are some of Kooper's buckets, and further ones for long calls.
var callDurations = []float64{.01, .05, .25, 1, 5, 10, 60, 300}

// callVectors are the metrics of all handler calls. The first has Kooper's name, the second that of
// client-go's workqueue.
type callVectors struct {
	processed *prometheus.HistogramVec
	work      *prometheus.HistogramVec

	busy      *prometheus.GaugeVec
	workers   *prometheus.GaugeVec
	retries   *prometheus.CounterVec
	panics    *prometheus.CounterVec
	terminal  *prometheus.CounterVec
	timeouts  *prometheus.CounterVec
	exhausted *prometheus.GaugeVec
	failing   *prometheus.GaugeVec
	passing   *prometheus.CounterVec
}

func newCallVectors(d *definitionVectors) callVectors {
	return callVectors{
		processed: ofDefinitions(d, nativeHistogram("kooper_controller_processed_event_duration_seconds",
			"Duration of handler calls; every failed attempt counts as success=false, whether it is retried or not.",
			callDurations, labelController, "success"), falseTrue...),
		work: ofDefinitions(d, histogram("workqueue_work_duration_seconds", "Time it took to process a key.",
			workqueueDurations, labelName)),

		busy: ofDefinitions(d, gauge("kooperd_controller_busy_workers", "Workers inside a handler call.", labelController)),
		workers: ofDefinitions(d, gauge("kooperd_controller_workers",
			"Workers running on this replica; 0 on a standby.", labelController)),
		retries: ofDefinitions(d, counter("kooperd_controller_retries_total",
			"Calls made again after a failed one; a call for a change of the object is none.", labelController)),
		panics: ofDefinitions(d, counter("kooperd_controller_panics_total", "Panics recovered from handler calls.", labelController)),
		terminal: ofDefinitions(d, counter("kooperd_controller_terminal_errors_total",
			"Calls that failed with an error that a retry does not help.", labelController)),
		timeouts: ofDefinitions(d, counter("kooperd_controller_timeouts_total",
			"Calls that failed because of a deadline.", labelController)),
		exhausted: ofDefinitions(d, gauge("kooperd_controller_objects_out_of_retries",
			"Objects given up after their last retry, until they change or are resynced.", labelController)),
		failing: ofDefinitions(d, gauge("kooperd_controller_failing_objects", "Objects whose last call failed.", labelController)),
		passing: ofDefinitions(d, counter("kooperd_controller_passing_failures_total",
			"Failed calls that a retry has made good: within 15 minutes, a later call for the object has worked or the object is gone, or the handler has put the call off. What is refused until something changes is not counted.",
			labelController)),
	}
}

// Calls are the metrics of the handler calls of one definition.
type Calls struct {
	processed [2]prometheus.Observer // by success
	work      prometheus.Observer

	// Busy counts workers inside a handler call.
	Busy prometheus.Gauge
	// Workers counts workers running.
	Workers prometheus.Gauge
	// Retries counts calls for objects whose last call failed, those for a change aside.
	Retries prometheus.Counter
	// Panics counts recovered panics.
	Panics prometheus.Counter
	// Terminal counts terminal errors.
	Terminal prometheus.Counter
	// Timeouts counts calls that ran into the definition's timeout.
	Timeouts prometheus.Counter
	// Exhausted is the number of objects out of retries.
	Exhausted prometheus.Gauge
	// Failing is the number of objects whose last call failed.
	Failing prometheus.Gauge
	// Passing counts failed calls of objects that do not fail any more, and calls that the handler
	// has put off.
	Passing prometheus.Counter
}

func (v callVectors) of(definition string) Calls {
	c := Calls{
		work:      v.work.WithLabelValues(definition),
		Busy:      v.busy.WithLabelValues(definition),
		Workers:   v.workers.WithLabelValues(definition),
		Retries:   v.retries.WithLabelValues(definition),
		Panics:    v.panics.WithLabelValues(definition),
		Terminal:  v.terminal.WithLabelValues(definition),
		Timeouts:  v.timeouts.WithLabelValues(definition),
		Exhausted: v.exhausted.WithLabelValues(definition),
		Failing:   v.failing.WithLabelValues(definition),
		Passing:   v.passing.WithLabelValues(definition),
	}
	for i, success := range falseTrue {
		c.processed[i] = v.processed.WithLabelValues(definition, success)
	}
	return c
}

// Processed records one handler call.
func (c *Calls) Processed(d time.Duration, success bool) {
	c.work.Observe(d.Seconds())
	if success {
		c.processed[1].Observe(d.Seconds())
		return
	}
	c.processed[0].Observe(d.Seconds())
}
