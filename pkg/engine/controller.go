package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/events"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/history"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// composers is what all definitions use whose plugins make composers.
type composers struct {
	installation string         // marks their children
	records      *compose.State // nil: what they own is not noted
	moves        *compose.Moves // of children between them
	calls        func(Call)     // is told each call; nil for nobody
}

// shared is what all controllers of an engine use.
type shared struct {
	composers
	api        apiServer
	gate       *kube.Gate
	allMetrics *telemetry.Metrics
	board      *status.Board
	log        logr.Logger
	shutdown   time.Duration
	recorders  map[Group]*events.Writer // of the handlers' events
	slots      *fairSemaphore
	initial    *initialLimiter
	removals   removals
	changes    changes // of the definitions' states
	endings    endings
	history    *history.History // nil when nothing is remembered of single objects
	// watchesOf returns what a definition watches, the objects that it handles first.
	watchesOf func(config.Definition) []watched
}

// controller is one running definition, whatever it changes to. It owns what lasts as long as the
// definition does, and its work during one term after another.
type controller struct {
	*shared
	name    string
	logger  logr.Logger
	metrics *telemetry.Controller
	state   *definitionStatus
	limits  *limits // without a rate, which is the revision's
	rollout *rollout

	retire     func()        // ends the definition, for good
	retired    chan struct{} // closed by retire
	gone       chan struct{} // closed when run has returned after that
	working    sync.WaitGroup
	observing  sync.Mutex                 // makes computing and showing the limits one step
	turn       chan struct{}              // holds a value while no group works on the definition
	dispatcher atomic.Pointer[dispatcher] // nil while this replica does not work on the definition
}

func newController(s *shared, def config.Definition) *controller {
	logger := s.log.WithValues(telemetry.KeyController, def.Name)
	c := &controller{
		shared: s, name: def.Name, logger: logger, metrics: s.allMetrics.Controller(def.Name),
		limits: newLimits(nil, s.slots.newClient()), retired: make(chan struct{}), gone: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	c.turn <- struct{}{}
	c.retire = sync.OnceFunc(func() { close(c.retired) })
	c.rollout = &rollout{newRevision: c.newRevision, keep: c.keep, wanted: def, handover: make(chan struct{})}
	c.state = newDefinitionStatus(def.Name, s.board, c.metrics, logger, c.condition, s.changes.announce)
	c.state.past.log = s.history.Definition()
	c.metrics.ObserveRunning(c.state.calls.times)
	c.metrics.ObserveDeletions(c.deletions)
	c.observeLimits()
	c.state.refresh()
	return c
}

// observeLimits shows how long the definition waits for slots and by its rate, where there are such
// limits. It is called after everything that may change that.
func (c *controller) observeLimits() {
	c.observing.Lock()
	defer c.observing.Unlock()
	var slots, rate func() time.Duration
	if c.limits.slots.limited() && !c.rollout.definition().Paused {
		slots = c.limits.slotWaits.read
	}
	if r, _ := c.rollout.revisions(); r != nil && r.limits.rate != nil {
		rate = c.limits.rateWaits.read
	}
	c.metrics.ObserveThrottled(telemetry.LimitMaxConcurrent, slots)
	c.metrics.ObserveThrottled(telemetry.LimitRate, rate)
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
	if c.rollout.definition().Paused {
		c.logger.Info("definition is paused")
	}
	c.rollout.start(ctx)
	c.observeLimits()
	select {
	case <-ctx.Done():
	case <-c.retired:
		c.working.Wait()
	}
	c.rollout.stop()
}

// remove takes away everything that shows the definition, after run has returned.
func (c *controller) remove() {
	for _, writer := range c.recorders {
		writer.Remove(c.name)
	}
	c.state.remove(c.metrics.Remove)
}

// set makes def what is wanted.
func (c *controller) set(def config.Definition) {
	changed := c.rollout.set(def)
	c.observeLimits()
	if changed {
		c.state.refresh()
	}
}

// newRevision makes a revision and the context that its end ends. keep must follow.
func (c *controller) newRevision(def config.Definition, replaced *revision) (*revision, lifetime) {
	current, end := context.WithCancel(context.Background()) //nolint:forbidigo // it ends with end
	c.limits.slots.join()
	r := &revision{
		def: def, group: groupOf(def), watches: &watchSet{watches: c.watchesOf(def)},
		limits: c.limits.withRate(newRate(def.Rate)), state: c.state, end: end, changed: make(chan struct{}, 1), made: time.Now(),
	}
	if replaced != nil && replaced.def.Rate == def.Rate {
		r.limits = replaced.limits // with the tokens that are there
	}
	if replaced != nil && replaced.def.Watch.Kind.GroupKind() == def.Watch.Kind.GroupKind() {
		r.objects = replaced.objects
	} else {
		r.objects = newObjectState(def, c.state.refresh, c.metrics.Passing)
	}
	if r.group == UnderLease {
		r.gate = c.gate
	}
	r.composing = newComposing(c, r)
	r.builder = &handlerBuilder{
		definition: c.name, plugin: def.Handler, make: c.withFinalizer(r), env: func() (handlers.Env, error) { return c.env(r) },
		metrics: c.metrics, logger: c.logger, changed: r.refresh,
		registry: newRegisterer(prometheus.WrapRegistererWith(
			prometheus.Labels{telemetry.KeyController: c.name}, c.allMetrics.Registry()), replaced != nil),
	}
	r.rights = &accessCheck{
		needed:  needsRights(def),
		missing: func(ctx context.Context) ([]access.Finding, error) { return c.api.findMissing(ctx, def) },
		failing: r.objects.failures.any, changed: r.refresh, logger: c.logger,
	}
	r.predicate = newChangePredicate(def, c.finalizersOf(def), c.metrics, c.logger, r.refresh)
	return r, lifetime{current}
}

// env is what a handler gets, without what its builder adds.
func (c *controller) env(r *revision) (handlers.Env, error) {
	own := r.objects.own
	if r.composing != nil {
		own = nil // A composer's writes are remembered with their answers.
	}
	clients, err := c.api.clients(c.name, r.gate, own)
	if err != nil {
		return handlers.Env{}, err
	}
	recorder, err := c.recorder(r, clients.REST)
	if err != nil {
		return handlers.Env{}, err
	}
	return handlers.Env{
		Definition: c.name, Kind: r.def.Watch.Kind, Finalizer: r.def.Finalizer, Logger: c.logger, Clients: clients, Events: recorder,
	}, nil
}

// keep runs a revision until current ends.
func (c *controller) keep(ctx context.Context, current lifetime, r *revision, replaces bool) {
	defer c.limits.slots.leave()
	onEvent := func(w *watched, e kube.Event) { c.onEvent(r, w, e) }
	r.keep(ctx, current, c.api, onEvent, replaces, func() bool {
		before, ok := c.rollout.activate(r)
		if ok && before != nil {
			c.replaced(before, r)
		}
		return ok
	})
	r.composing.retired(ctx, c.rollout.current())
}

// replaced is called when a revision has taken over from another one.
func (c *controller) replaced(before, r *revision) {
	before.builder.registry.withdraw()
	if err := r.builder.registry.activate(); err != nil {
		c.logger.Error(err, "registering the metrics of the changed handler")
	}
	before.end()
	c.observeLimits()
	c.logger.Info("definition was replaced")
	r.objects.failures.retain(func(key kube.Key) bool {
		_, ok := r.watches.primary().Get(key.Namespace, key.Name)
		return ok
	})
	c.state.refresh()
}

// onEvent takes an event of a revision's watch, on a goroutine of the source. While this replica
// does not work on the definition, events are not kept: work begins with everything in the cache.
func (c *controller) onEvent(r *revision, w *watched, e kube.Event) {
	d := c.dispatcher.Load()
	if d == nil || d.revision != r {
		return
	}
	if e.Type == kube.Deleted && w.notify == nil {
		r.objects.gone(e.Key)
		r.composing.forget(e)
	} else if w.notify == nil {
		r.seeDeletion(e)
	}
	d.onEvent(w, e)
}

// deletions returns how many deleted objects wait, and how long ago the first of them was deleted.
func (c *controller) deletions() (objects int, longest time.Duration) {
	current, _ := c.rollout.revisions()
	if current == nil {
		return 0, 0
	}
	return current.objects.deletions.waiting()
}

// longest returns what compose.Longest does, of a definition with a composer.
func (c *controller) longest() (notReady, childDeletion time.Duration) {
	if current, _ := c.rollout.revisions(); current != nil {
		return compose.Longest(current.objects.memory)
	}
	return 0, 0
}

// condition collects what the definition's state depends on.
func (c *controller) condition() condition {
	if c.rollout.definition().Paused {
		return condition{paused: true}
	}
	current, next := c.rollout.revisions()
	if current == nil {
		return condition{}
	}
	now := current.condition()
	failures := current.objects.failures
	now.failing, now.troubles, now.unavailable = failures.describe(), failures.causes(), failures.unavailable()
	now.failed, now.exhausted = failures.counts()
	now.held, now.rollout = current.objects.memory.Brake.Held(), current.objects.memory.Rollout.Describe()
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
	for _, call := range c.state.calls.names() {
		all = append(all, c.name+": "+call)
	}
	return all
}
