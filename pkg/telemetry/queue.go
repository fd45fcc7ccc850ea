package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	// queueDurations are some of Kooper's buckets, and further ones for long waits.
	queueDurations = []float64{.01, .1, .5, 1, 3, 10, 60, 300}
	// workqueueDurations are of client-go's powers of ten those that a queue of calls can come to.
	workqueueDurations = []float64{.001, .01, .1, 1, 10, 100}
)

// queueVectors are the metrics of all queues: first those with Kooper's names, then those with the
// names of client-go's workqueue.
type queueVectors struct {
	queued  *prometheus.CounterVec
	inQueue *prometheus.HistogramVec
	length  *prometheus.GaugeVec

	adds    *prometheus.CounterVec
	retries *prometheus.CounterVec
	depth   *prometheus.GaugeVec
	wait    *prometheus.HistogramVec
}

func newQueueVectors(d *definitionVectors) queueVectors {
	return queueVectors{
		queued: ofDefinitions(d, counter("kooper_controller_queued_events_total",
			"Events put into the queue; requeue is true for retries and requested requeues.", labelController, "requeue"), falseTrue...),
		inQueue: ofDefinitions(d, nativeHistogram("kooper_controller_event_in_queue_duration_seconds",
			"Time an event waited in the queue until a worker took it.", queueDurations, labelController)),
		length: ofDefinitions(d, gauge("kooper_controller_event_queue_length", "Events ready in the queue.", labelController)),

		adds:    ofDefinitions(d, counter("workqueue_adds_total", "Adds handled by the work queue.", labelName)),
		retries: ofDefinitions(d, counter("workqueue_retries_total", "Retries handled by the work queue.", labelName)),
		depth:   ofDefinitions(d, gauge("workqueue_depth", "Keys ready in the work queue.", labelName)),
		wait: ofDefinitions(d, histogram("workqueue_queue_duration_seconds", "Time a key stayed in the work queue.",
			workqueueDurations, labelName)),
	}
}

// Queue are the metrics of the queue of one definition.
type Queue struct {
	queued  [2]prometheus.Counter // by whether it is a requeue
	inQueue prometheus.Observer
	length  prometheus.Gauge
	adds    prometheus.Counter
	retries prometheus.Counter
	depth   prometheus.Gauge
	wait    prometheus.Observer
}

func (v queueVectors) of(definition string) Queue {
	q := Queue{
		inQueue: v.inQueue.WithLabelValues(definition),
		length:  v.length.WithLabelValues(definition),
		adds:    v.adds.WithLabelValues(definition),
		retries: v.retries.WithLabelValues(definition),
		depth:   v.depth.WithLabelValues(definition),
		wait:    v.wait.WithLabelValues(definition),
	}
	for i, requeue := range falseTrue {
		q.queued[i] = v.queued.WithLabelValues(definition, requeue)
	}
	return q
}

// Queued counts one event put into the queue; requeue is true for retries and requested requeues.
func (q *Queue) Queued(requeue bool) {
	q.adds.Inc()
	if requeue {
		q.retries.Inc()
		q.queued[1].Inc()
		return
	}
	q.queued[0].Inc()
}

// Waited records how long an event was in the queue until a worker took it.
func (q *Queue) Waited(d time.Duration) {
	q.inQueue.Observe(d.Seconds())
	q.wait.Observe(d.Seconds())
}

// QueueLength records how many events are ready in the queue.
func (q *Queue) QueueLength(n int) {
	q.length.Set(float64(n))
	q.depth.Set(float64(n))
}
