package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/status"
)

// The values of the label reason of skipped events.
const (
	reasonIgnore = "ignore"
	reasonWhere  = "where"
)

// Controller are the metrics of one definition. Each has its labels filled in and is present from
// the start. All methods are safe for concurrent use.
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

	// running and throttled are guarded by the lock of metrics.
	running   func() (sum, longest time.Duration)
	throttled map[string]func() time.Duration

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
	// Unwanted counts changes, and calls of a resync or at the start, for which the condition does
	// not hold.
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

// Controller returns the metrics of the definition of that name, the same ones until Remove.
func (m *Metrics) Controller(name string) *Controller {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.controllers[name]
	if !ok {
		c = m.newController(name)
		m.controllers[name] = c
	}
	return c
}

func (m *Metrics) newController(name string) *Controller {
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
		Ignored:     m.skipped.WithLabelValues(name, reasonIgnore),
		Unwanted:    m.skipped.WithLabelValues(name, reasonWhere),
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

// ObserveRunning makes /metrics show how long the calls under way have taken, together and the
// longest one. running is called at every scrape, until Remove; of several the last one is.
func (c *Controller) ObserveRunning(running func() (sum, longest time.Duration)) {
	c.metrics.mu.Lock()
	defer c.metrics.mu.Unlock()
	c.running = running
}

// The limits of ObserveThrottled.
const (
	// LimitRate is the rate of the definition.
	LimitRate = "rate"
	// LimitMaxConcurrent is the number of calls that all definitions together may make at a time.
	LimitMaxConcurrent = "maxConcurrent"
)

// ObserveThrottled makes /metrics show how long a limit has kept the definition from handling an
// object that was ready. throttled is called at every scrape, until Remove, so a wait shows while
// it lasts; of several for one limit the last one is.
func (c *Controller) ObserveThrottled(limit string, throttled func() time.Duration) {
	c.metrics.mu.Lock()
	defer c.metrics.mu.Unlock()
	if c.throttled == nil {
		c.throttled = map[string]func() time.Duration{}
	}
	c.throttled[limit] = throttled
}

// Remove takes every series of the definition out, its state included, when the definition has
// ended. What is recorded with c afterwards shows nowhere. Controller of the same name starts anew.
func (c *Controller) Remove() {
	m := c.metrics
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.controllers[c.name] != c {
		return
	}
	delete(m.controllers, c.name)
	for _, vec := range m.byController() {
		vec.DeleteLabelValues(c.name)
	}
	for _, flag := range []string{"false", "true"} {
		m.queuedEvents.DeleteLabelValues(c.name, flag)
		m.processed.DeleteLabelValues(c.name, flag)
	}
	for _, reason := range []string{reasonIgnore, reasonWhere} {
		m.skipped.DeleteLabelValues(c.name, reason)
	}
	for _, state := range status.States() {
		m.state.DeleteLabelValues(c.name, string(state))
	}
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
