package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/status"
)

// Controller are the metrics of one definition, each with its label filled in and present from the start.
type Controller struct {
	metrics     *Metrics
	name        string
	queued      [2]prometheus.Counter
	inQueue     prometheus.Observer
	processed   [2]prometheus.Observer
	queueLength prometheus.Gauge
	adds        prometheus.Counter
	requeues    prometheus.Counter
	depth       prometheus.Gauge
	wait        prometheus.Observer
	work        prometheus.Observer

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
	// Ignored counts changes that lie in ignored fields alone.
	Ignored prometheus.Counter
	// Unwanted counts changes, and calls of a resync or at the start, for which the condition does not hold.
	Unwanted prometheus.Counter
	// TriggerErrors counts evaluations of the condition that failed.
	TriggerErrors prometheus.Counter
	// Undecided is the number of objects with changes that may or may not call the handler.
	Undecided prometheus.Gauge
	// Exhausted is the number of objects out of retries.
	Exhausted prometheus.Gauge
	// Failing is the number of objects whose last call failed.
	Failing prometheus.Gauge
}

// Controller returns the metrics of the definition of that name.
func (m *Metrics) Controller(name string) *Controller {
	c := &Controller{
		metrics:     m,
		name:        name,
		inQueue:     m.inQueue.WithLabelValues(name),
		queueLength: m.queueLength.WithLabelValues(name),
		adds:        m.workqueueAdds.WithLabelValues(name),
		requeues:    m.workqueueRetry.WithLabelValues(name),
		depth:       m.workqueueDepth.WithLabelValues(name),
		wait:        m.workqueueWait.WithLabelValues(name),
		work:        m.workqueueWork.WithLabelValues(name),
		Busy:        m.busy.WithLabelValues(name),
		Workers:     m.workers.WithLabelValues(name),
		Retries:     m.retries.WithLabelValues(name),
		Panics:      m.panics.WithLabelValues(name),
		Terminal:    m.terminal.WithLabelValues(name),
		Timeouts:    m.timeouts.WithLabelValues(name),
		Ignored:     m.skipped.WithLabelValues(name, "ignore"),
		Unwanted:    m.skipped.WithLabelValues(name, "where"),
		Exhausted:   m.exhausted.WithLabelValues(name),
		Failing:     m.failing.WithLabelValues(name),

		TriggerErrors: m.triggerErrors.WithLabelValues(name),
		Undecided:     m.undecided.WithLabelValues(name),
	}
	for i, b := range []bool{false, true} {
		c.queued[i] = m.queuedEvents.WithLabelValues(name, strconv.FormatBool(b))
		c.processed[i] = m.processed.WithLabelValues(name, strconv.FormatBool(b))
	}
	return c
}

// ObserveRunning makes /metrics show how long the calls under way have taken, together and the longest one, asked at every
// scrape. It is to be called once for each definition.
func (c *Controller) ObserveRunning(running func() (sum, longest time.Duration)) {
	labels := prometheus.Labels{"name": c.name}
	c.metrics.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "workqueue_unfinished_work_seconds", ConstLabels: labels,
			Help: "Seconds of work that is under way and not yet in workqueue_work_duration_seconds."},
			func() float64 { sum, _ := running(); return sum.Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "workqueue_longest_running_processor_seconds", ConstLabels: labels,
			Help: "Seconds that the longest call under way has taken."},
			func() float64 { _, longest := running(); return longest.Seconds() }),
	)
}

// The limits that ObserveThrottled tells apart.
const (
	// LimitRate is the rate of the definition.
	LimitRate = "rate"
	// LimitMaxConcurrent is the number of calls that all definitions together may make at a time.
	LimitMaxConcurrent = "maxConcurrent"
)

// ObserveThrottled makes /metrics show how long a limit has kept the definition from handling an object that was ready, asked
// at every scrape, so that a wait shows while it lasts. It is to be called once for each limit of a definition.
func (c *Controller) ObserveThrottled(limit string, throttled func() time.Duration) {
	c.metrics.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name:        "kooperd_controller_throttled_seconds_total",
		Help:        "Seconds that a limit has kept a worker of the definition from an object that was ready.",
		ConstLabels: prometheus.Labels{"controller": c.name, "limit": limit},
	}, func() float64 { return throttled().Seconds() }))
}

// Queued counts one event put into the queue; requeue is true for retries and requested requeues.
func (c *Controller) Queued(requeue bool) {
	c.adds.Inc()
	if requeue {
		c.requeues.Inc()
		c.queued[1].Inc()
		return
	}
	c.queued[0].Inc()
}

// Waited records how long an event was in the queue until a worker took it.
func (c *Controller) Waited(d time.Duration) {
	c.inQueue.Observe(d.Seconds())
	c.wait.Observe(d.Seconds())
}

// QueueLength records how many events are ready in the queue.
func (c *Controller) QueueLength(n int) {
	c.queueLength.Set(float64(n))
	c.depth.Set(float64(n))
}

// Processed records one handler call.
func (c *Controller) Processed(d time.Duration, success bool) {
	c.work.Observe(d.Seconds())
	if success {
		c.processed[1].Observe(d.Seconds())
		return
	}
	c.processed[0].Observe(d.Seconds())
}

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

// SourceLabels tell sources apart.
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
