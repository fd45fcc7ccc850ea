package telemetry

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	unfinishedWork = prometheus.NewDesc("workqueue_unfinished_work_seconds",
		"Seconds of work that is under way and not yet in workqueue_work_duration_seconds.", []string{labelName}, nil)
	longestRunning = prometheus.NewDesc("workqueue_longest_running_processor_seconds",
		"Seconds that the longest call under way has taken.", []string{labelName}, nil)
	throttledSeconds = prometheus.NewDesc("kooperd_controller_throttled_seconds_total",
		"Seconds that a limit has kept a worker of the definition from an object that was ready.",
		[]string{labelController, "limit"}, nil)
	deletingObjects = prometheus.NewDesc("kooperd_controller_deleting_objects",
		"Deleted objects that are kept until what the definition's clean-up waits for is gone; those whose last call failed aside.",
		[]string{labelController}, nil)
	longestDeletion = prometheus.NewDesc("kooperd_controller_longest_deletion_seconds",
		"Seconds since the first of these objects was deleted; 0 without any.", []string{labelController}, nil)
	longestChildDeletion = prometheus.NewDesc("kooperd_compose_longest_child_deletion_seconds",
		"Seconds since the first of the children was deleted that are still there, while their parents are neither paused nor being deleted; "+
			"0 without any.",
		[]string{labelController}, nil)
	longestNotReady = prometheus.NewDesc("kooperd_compose_longest_not_ready_seconds",
		"Seconds since the first of the parents has ceased to be ready that wait for something; 0 without any. "+
			"Those that are degraded, paused, held by a rollout or being deleted are not among them.",
		[]string{labelController}, nil)
)

// observation is what to ask of one definition at each scrape.
type observation struct {
	running   func() (sum, longest time.Duration)
	throttled map[string]func() time.Duration // by the limit
	deletions func() (objects int, longest time.Duration)
	parents   func() (notReady, childDeletion time.Duration)
}

// controllerCollector asks the definitions that there are at each scrape. One collector for all of
// them can be registered once, while definitions come and go.
type controllerCollector struct{ definitions *definitions }

// Describe sends the descriptions of all that Collect may send.
func (controllerCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- unfinishedWork
	descs <- longestRunning
	descs <- throttledSeconds
	descs <- deletingObjects
	descs <- longestDeletion
	descs <- longestChildDeletion
	descs <- longestNotReady
}

// Collect asks outside of the lock, since what it asks may take locks too.
func (c controllerCollector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for name, observed := range c.observations() {
		if observed.running != nil {
			sum, longest := observed.running()
			gauge(unfinishedWork, sum.Seconds(), name)
			gauge(longestRunning, longest.Seconds(), name)
		}
		if observed.deletions != nil {
			objects, longest := observed.deletions()
			gauge(deletingObjects, float64(objects), name)
			gauge(longestDeletion, longest.Seconds(), name)
		}
		if observed.parents != nil {
			notReady, childDeletion := observed.parents()
			gauge(longestNotReady, notReady.Seconds(), name)
			gauge(longestChildDeletion, childDeletion.Seconds(), name)
		}
		for limit, throttled := range observed.throttled {
			metrics <- prometheus.MustNewConstMetric(throttledSeconds, prometheus.CounterValue,
				throttled().Seconds(), name, limit)
		}
	}
}

// observations returns what to ask of each definition, by its name.
func (c controllerCollector) observations() map[string]observation {
	c.definitions.mu.Lock()
	defer c.definitions.mu.Unlock()
	found := make(map[string]observation, len(c.definitions.controllers))
	for name, controller := range c.definitions.controllers {
		found[name] = observation{
			controller.observed.running, maps.Clone(controller.observed.throttled), controller.observed.deletions, controller.observed.parents,
		}
	}
	return found
}
