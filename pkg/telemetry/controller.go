package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/status"
)

// The label that holds the name of a definition, in metrics of kooperd and of client-go's
// workqueue.
const (
	labelController = "controller"
	labelName       = "name"
)

// definitions are the metrics that have series of each definition.
type definitions struct {
	vectors   definitionVectors
	queues    queueVectors
	calls     callVectors
	filters   filterVectors
	composers composeVectors
	rollouts  *prometheus.GaugeVec
	degraded  *prometheus.GaugeVec
	pending   *prometheus.GaugeVec
	events    *prometheus.CounterVec
	states    *prometheus.GaugeVec

	mu          sync.Mutex
	controllers map[string]*Controller // those not removed, by the definition's name
}

func newDefinitions(registry *prometheus.Registry) *definitions {
	d := &definitions{vectors: definitionVectors{registry: registry}, controllers: map[string]*Controller{}}
	d.queues = newQueueVectors(&d.vectors)
	d.calls = newCallVectors(&d.vectors)
	d.filters = newFilterVectors(&d.vectors)
	d.composers = newComposeVectors(&d.vectors)
	d.rollouts = newRolloutVector(&d.vectors)
	d.degraded = newDegradedVector(&d.vectors)
	d.pending = ofDefinitions(&d.vectors, gauge("kooperd_controller_reload_pending",
		"1 while a change of the definition waits for something that it needs, whatever the state of the definition is.", labelController))
	d.events = newEventVector(&d.vectors)
	d.states = ofDefinitions(&d.vectors, gauge("kooperd_controller_state",
		"1 for the state the definition is in, 0 for the others.", labelController, "state"), stateNames()...)
	registry.MustRegister(controllerCollector{d})
	return d
}

func stateNames() (names []string) {
	for _, state := range status.States() {
		names = append(names, string(state))
	}
	return names
}

// SetState records the state that a definition is in. It sets the new state first: a scrape in
// between finds the definition in two states rather than in none.
func (d *definitions) SetState(definition string, state status.State) {
	d.states.WithLabelValues(definition, string(state)).Set(1)
	for _, s := range status.States() {
		if s != state {
			d.states.WithLabelValues(definition, string(s)).Set(0)
		}
	}
}

// Controller returns the metrics of the definition of that name, the same ones until Remove.
func (d *definitions) Controller(name string) *Controller {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.controllers[name]
	if !ok {
		c = &Controller{
			Queue: d.queues.of(name), Calls: d.calls.of(name), Filter: d.filters.of(name),
			Degraded: degradedOf(d.degraded, name), Events: eventsOf(d.events, name), pending: d.pending.WithLabelValues(name), definitions: d, name: name,
		}
		d.controllers[name] = c
	}
	return c
}

// Controller are the metrics of one definition. Each has its labels filled in and is present from
// the start. All methods are safe for concurrent use.
type Controller struct {
	Queue
	Calls
	Filter
	Events
	*Degraded

	pending     prometheus.Gauge
	definitions *definitions
	name        string
	observed    observation // guarded by the lock of definitions
}

// SetPending says whether a change of the definition waits.
func (c *Controller) SetPending(waits bool) { c.pending.Set(oneIf(waits)) }

// ObserveRunning makes /metrics show how long the calls under way have taken, together and the
// longest one. running is called at every scrape, until Remove; of several the last one is.
func (c *Controller) ObserveRunning(running func() (sum, longest time.Duration)) {
	c.definitions.mu.Lock()
	defer c.definitions.mu.Unlock()
	c.observed.running = running
}

// ObserveDeletions makes /metrics show how many deleted objects wait until the definition is done
// with them, and how long the one that was deleted first has been waiting. waiting is called at
// every scrape, until Remove; of several the last one is.
func (c *Controller) ObserveDeletions(waiting func() (objects int, longest time.Duration)) {
	c.definitions.mu.Lock()
	defer c.definitions.mu.Unlock()
	c.observed.deletions = waiting
}

// ObserveParents makes /metrics show how long the parent of a composer has not been ready that has
// been so for longest, and how long the child has been going that was deleted first. longest is
// called at every scrape, until Remove; of several the last one is, and none after nil.
func (c *Controller) ObserveParents(longest func() (notReady, childDeletion time.Duration)) {
	c.definitions.mu.Lock()
	defer c.definitions.mu.Unlock()
	c.observed.parents = longest
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
// it lasts; of several for one limit the last one is, and none after nil.
func (c *Controller) ObserveThrottled(limit string, throttled func() time.Duration) {
	c.definitions.mu.Lock()
	defer c.definitions.mu.Unlock()
	if throttled == nil {
		delete(c.observed.throttled, limit)
		return
	}
	if c.observed.throttled == nil {
		c.observed.throttled = map[string]func() time.Duration{}
	}
	c.observed.throttled[limit] = throttled
}

// Remove takes every series of the definition out, its state included, when the definition has
// ended. What is recorded with c afterwards shows nowhere. Controller of the same name starts anew.
func (c *Controller) Remove() {
	d := c.definitions
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.controllers[c.name] != c {
		return
	}
	delete(d.controllers, c.name)
	d.vectors.remove(c.name)
}
