package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// shared is what all controllers of an engine use.
type shared struct {
	api        apiServer
	gate       *kube.Gate
	allMetrics *telemetry.Metrics
	board      *status.Board
	log        logr.Logger
	shutdown   time.Duration
	recorders  *recorders
	slots      *fairSemaphore
	// watchesOf returns what a definition watches, the objects that it handles first.
	watchesOf func(config.Definition) []watched
}

// controller is one running definition. It owns what lasts as long as the definition does, and its
// work during one term after another.
type controller struct {
	*shared
	name    string
	group   Group
	paused  bool
	logger  logr.Logger
	metrics *telemetry.Controller
	state   *definitionStatus
	limits  *limits // without a rate, which is the revision's
	own     *kube.ConsistencyStore
	rollout *rollout

	retire     func()        // ends the definition, for good
	retired    chan struct{} // closed by retire
	working    sync.WaitGroup
	dispatcher atomic.Pointer[dispatcher] // nil while this replica does not work on the definition
}

func newController(s *shared, def config.Definition) *controller {
	logger := s.log.WithValues(telemetry.KeyController, def.Name)
	c := &controller{
		shared: s, name: def.Name, group: groupOf(def), paused: def.Paused, logger: logger,
		metrics: s.allMetrics.Controller(def.Name), own: kube.NewConsistencyStore(def.Watch.Kind),
		retired: make(chan struct{}),
	}
	c.retire = sync.OnceFunc(func() { close(c.retired) })
	c.rollout = &rollout{newRevision: c.newRevision, keep: c.keep, wanted: def, handover: make(chan struct{})}
	c.state = newDefinitionStatus(def.Name, s.board, c.metrics, logger, c.condition)
	c.metrics.ObserveRunning(c.state.calls.times)
	c.limits = newLimits(nil, nil)
	if !def.Paused {
		c.limits.slots = s.slots.newClient()
	}
	c.observeSlots()
	c.state.refresh()
	return c
}

// observeSlots shows how long the definition waits for slots, where their number is limited.
func (c *controller) observeSlots() {
	if c.limits.slots.limited() {
		c.metrics.ObserveThrottled(telemetry.LimitMaxConcurrent, c.limits.slotWaits.read)
	}
}

// isRetired reports whether the definition is ending for good.
func (c *controller) isRetired() bool {
	select {
	case <-c.retired:
		return true
	default:
		return false
	}
}

// run keeps the definition until ctx ends, after work has returned, or until it is retired.
func (c *controller) run(ctx context.Context) {
	if c.paused {
		c.logger.Info("definition is paused")
	} else {
		c.rollout.start(ctx)
	}
	select {
	case <-ctx.Done():
	case <-c.retired:
		c.working.Wait()
	}
	c.rollout.stop()
}

// remove takes away everything that shows the definition, after run has returned.
func (c *controller) remove() {
	if !c.paused {
		c.limits.slots.leave()
	}
	c.recorders.remove(c.name)
	c.state.remove()
	c.metrics.Remove()
}

// set makes def, which the controller accepts, what is wanted.
func (c *controller) set(def config.Definition) {
	c.observeSlots()
	if c.rollout.set(def) {
		c.state.refresh()
	}
}

// accepts reports whether the running definition can become def. If not, its keys are those of
// other objects, or it runs under another condition: then it has to end before the other one
// begins.
func (c *controller) accepts(def config.Definition) bool {
	current := c.rollout.definition()
	return current.Watch.Kind.GroupKind() == def.Watch.Kind.GroupKind() &&
		groupOf(def) == c.group && def.Paused == c.paused
}

// newRevision makes a revision and the context that its end ends.
func (c *controller) newRevision(def config.Definition, replaced *revision) (*revision, lifetime) {
	current, end := context.WithCancel(context.Background()) //nolint:forbidigo // it ends with end
	r := &revision{
		def: def, watches: &watchSet{watches: c.watchesOf(def)}, limits: c.limits.withRate(newRate(def.Rate)),
		own: c.own, state: c.state, metrics: c.metrics, logger: c.logger, end: end, changed: make(chan struct{}, 1),
		made: time.Now(),
	}
	if r.limits.rate != nil {
		c.metrics.ObserveThrottled(telemetry.LimitRate, c.limits.rateWaits.read)
	}
	if replaced != nil && replaced.def.Rate == def.Rate {
		r.limits = replaced.limits // with the tokens that are there
	}
	if c.group == UnderLease {
		r.gate = c.gate
	}
	r.builder = &handlerBuilder{
		definition: c.name, plugin: def.Handler, env: c.env, metrics: c.metrics, logger: c.logger, changed: r.refresh,
		registry: newRegisterer(prometheus.WrapRegistererWith(
			prometheus.Labels{telemetry.KeyController: c.name}, c.allMetrics.Registry()), replaced != nil),
	}
	r.rights = &accessCheck{
		needed:  len(def.Handler.Rules()) > 0 || len(def.Watch.Namespaces) > 0,
		missing: func(ctx context.Context) ([]access.Finding, error) { return c.api.findMissing(ctx, def) },
		failing: c.state.failures.any, changed: r.refresh, logger: c.logger,
	}
	r.predicate = newChangePredicate(def, c.metrics, c.logger, r.refresh)
	return r, lifetime{current}
}

// env is what a handler gets, without what depends on the revision.
func (c *controller) env() (handlers.Env, error) {
	gate := c.gate
	if c.group == EveryReplica {
		gate = nil
	}
	clients, err := c.api.clients(c.name, gate, c.own)
	if err != nil {
		return handlers.Env{}, err
	}
	events, err := c.recorders.recorder(c.name, clients.REST)
	if err != nil {
		return handlers.Env{}, err
	}
	return handlers.Env{Definition: c.name, Logger: c.logger, Clients: clients, Events: events}, nil
}

// keep runs a revision until current ends.
func (c *controller) keep(ctx context.Context, current lifetime, r *revision, replaces bool) {
	onEvent := func(w *watched, e kube.Event) { c.onEvent(r, w, e) }
	r.keep(ctx, current, c.api, onEvent, replaces, func() bool {
		before, ok := c.rollout.activate(r)
		if !ok || before == nil {
			return ok
		}
		before.builder.registry.withdraw()
		if err := r.builder.registry.activate(); err != nil {
			c.logger.Error(err, "registering the metrics of the changed handler")
		}
		before.end()
		c.logger.Info("definition was replaced")
		c.state.failures.retain(func(key kube.Key) bool {
			_, ok := r.watches.primary().Get(key.Namespace, key.Name)
			return ok
		})
		c.state.refresh()
		return true
	})
}

// onEvent takes an event of a revision's watch, on a goroutine of the source. While this replica
// does not work on the definition, events are not kept: work begins with everything in the cache.
func (c *controller) onEvent(r *revision, w *watched, e kube.Event) {
	d := c.dispatcher.Load()
	if d == nil || d.revision != r {
		return
	}
	if e.Type == kube.Deleted && w.keysOf == nil {
		c.state.gone(e.Key)
	}
	d.onEvent(w, e)
}

// work handles the definition's objects until term or drain ends, or the definition is retired.
// Then calls under way may go on for the shutdown timeout.
func (c *controller) work(term context.Context, drain Drain) {
	taking, stopTaking := context.WithCancel(term)
	defer stopTaking()
	calls, endCalls := context.WithCancelCause(term)
	defer endCalls(nil)
	q := queue.New[kube.Key](queue.Options{Observer: queueObserver{c.metrics}})
	p := phases{taking: taking, calls: calls, drain: drain}
	var dispatching sync.WaitGroup
	var last *dispatcher
	for ending := false; !ending; {
		next, handover := c.rollout.dispatch(last)
		if next != nil {
			last = c.dispatch(next, last, q, p, &dispatching)
		}
		select {
		case <-handover:
			continue
		case <-drain:
		case <-c.retired:
		case <-term.Done():
		}
		ending = true
	}
	stopTaking()
	q.ShutDown()
	timer := time.AfterFunc(c.shutdown, func() { endCalls(errShutdown) })
	defer timer.Stop()
	dispatching.Wait()
	c.metrics.Workers.Set(0)
	c.dispatcher.Store(nil)
	if drain.ended() {
		c.state.freeze() // The process is stopping; that all is well again would be no news.
	}
	c.state.endTerm()
}

// dispatch lets a revision handle the keys of q, in place of last, which may be nil.
func (c *controller) dispatch(
	r *revision, last *dispatcher, q *queue.Queue[kube.Key], p phases, dispatching *sync.WaitGroup,
) *dispatcher {
	d := newDispatcher(r, q, p)
	q.SetBackoff(backoffOf(r.def))
	c.dispatcher.Store(d) // Events come in from here on, so nothing is missed.
	d.start(p, last)
	c.metrics.Workers.Set(float64(workersOf(r.def)))
	dispatching.Go(func() {
		defer r.dispatched.Done()
		d.wait()
	})
	return d
}

func backoffOf(def config.Definition) queue.Backoff {
	return queue.Backoff{Initial: def.Retry.InitialDelay, Max: def.Retry.MaxDelay, MaxRetries: def.Retry.MaxRetries}
}

// condition collects what the definition's state depends on.
func (c *controller) condition() condition {
	if c.paused {
		return condition{paused: true}
	}
	current, next := c.rollout.revisions()
	if current == nil {
		return condition{}
	}
	now := current.condition()
	if next != nil {
		now.pending = next.pending()
	}
	return now
}

// pending says why a change of the definition does not take effect; empty if none waits.
func (c *controller) pending() string {
	if current, next := c.rollout.revisions(); current != nil && next != nil {
		return next.pending()
	}
	return ""
}

// unreturned says which code of plugins is running.
func (c *controller) unreturned() []string {
	all := c.rollout.unreturned()
	plugin := c.rollout.definition().Handler.Plugin()
	for _, object := range c.state.calls.names() {
		all = append(all, fmt.Sprintf("%s: the %s handler's Handle for %s", c.name, plugin, object))
	}
	return all
}
