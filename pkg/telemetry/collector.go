package telemetry

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	unfinishedWork = prometheus.NewDesc("workqueue_unfinished_work_seconds",
		"Seconds of work that is under way and not yet in workqueue_work_duration_seconds.", []string{"name"}, nil)
	longestRunning = prometheus.NewDesc("workqueue_longest_running_processor_seconds",
		"Seconds that the longest call under way has taken.", []string{"name"}, nil)
	throttledSeconds = prometheus.NewDesc("kooperd_controller_throttled_seconds_total",
		"Seconds that a limit has kept a worker of the definition from an object that was ready.",
		[]string{"controller", "limit"}, nil)
)

// controllerCollector asks the definitions that there are at each scrape. One collector for all of
// them can be registered once, while definitions come and go.
type controllerCollector struct{ metrics *Metrics }

// Describe sends the descriptions of all that Collect may send.
func (controllerCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- unfinishedWork
	descs <- longestRunning
	descs <- throttledSeconds
}

// Collect asks outside of the lock, since what it asks may take locks too.
func (c controllerCollector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for _, observed := range c.observations() {
		if observed.running != nil {
			sum, longest := observed.running()
			gauge(unfinishedWork, sum.Seconds(), observed.name)
			gauge(longestRunning, longest.Seconds(), observed.name)
		}
		for limit, throttled := range observed.throttled {
			metrics <- prometheus.MustNewConstMetric(throttledSeconds, prometheus.CounterValue,
				throttled().Seconds(), observed.name, limit)
		}
	}
}

// observation is what to ask of one definition.
type observation struct {
	name      string
	running   func() (sum, longest time.Duration)
	throttled map[string]func() time.Duration
}

func (c controllerCollector) observations() []observation {
	c.metrics.mu.Lock()
	defer c.metrics.mu.Unlock()
	found := make([]observation, 0, len(c.metrics.controllers))
	for name, controller := range c.metrics.controllers {
		found = append(found, observation{name, controller.running, maps.Clone(controller.throttled)})
	}
	return found
}

// deleter is what all vectors of metrics have in common.
type deleter interface {
	DeleteLabelValues(labelValues ...string) bool
}

// byController returns the vectors whose one label is the definition.
func (m *Metrics) byController() []deleter {
	return []deleter{
		m.inQueue, m.queueLength,
		m.workqueueAdds, m.workqueueRetry, m.workqueueDepth, m.workqueueWait, m.workqueueWork,
		m.busy, m.workers, m.retries, m.panics, m.terminal, m.timeouts,
		m.triggerErrors, m.undecided, m.exhausted, m.failing,
	}
}
