package engine

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
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

const (
	// Delays between tries to make a handler whose constructor failed.
	minBuildDelay = time.Second
	maxBuildDelay = time.Minute
	// slowBuild is how long a constructor may take before the definition is called degraded.
	slowBuild = 10 * time.Second
)

// controller is one running definition.
type controller struct {
	def       config.Definition
	env       handlers.Env
	sources   *kube.Sources
	logger    logr.Logger
	metrics   *telemetry.Controller
	board     *status.Board
	shutdown  time.Duration
	gate      *kube.Gate // nil when the definition runs on every replica
	own       *kube.ConsistencyStore
	limits    limits
	registry  prometheus.Registerer // for the metrics of the handler
	checker   *access.Checker
	predicate *changePredicate // nil without a filter

	failures *failures
	built    chan struct{} // closed when handler is set

	refreshing sync.Mutex // makes computing and recording the state one step

	mu       sync.Mutex
	handler  handlers.Handler // nil until it is made
	buildErr error            // of the last try to make it
	missing  string           // rights that the handler lacks
	view     *kube.View
	queue    *queue.Queue[kube.Key] // nil while this replica does not work on the definition
	filter   *eventFilter           // before the queue; nil without a predicate
	running  map[kube.Key]time.Time // when the calls under way began
	overdue  map[kube.Key]time.Time // those that ignore their deadline

	deadlines    *time.Timer // finds those that are overdue; nil before the first call
	deadlinesSet bool
}

func newController(def config.Definition, opts Options) *controller {
	logger := opts.Logger.WithValues(telemetry.KeyController, def.Name)
	c := &controller{
		def: def, sources: opts.Cluster.Sources, logger: logger, metrics: opts.Metrics.Controller(def.Name),
		board: opts.Board, shutdown: opts.ShutdownTimeout,
		failures: newFailures(), built: make(chan struct{}),
		running: map[kube.Key]time.Time{}, overdue: map[kube.Key]time.Time{},
	}
	c.predicate = newChangePredicate(def, c.metrics, logger)
	c.metrics.ObserveRunning(c.runningCalls)
	c.limits.rate = newRate(def.Rate)
	if c.limits.rate != nil {
		c.metrics.ObserveThrottled(telemetry.LimitRate, c.limits.byRate.read)
	}
	c.env = handlers.Env{Definition: def.Name, Kind: def.Watch.Kind, Logger: logger}
	state, reason := c.condition().state()
	c.board.Set(def.Name, state, reason)
	return c
}

// run keeps the definition's cache and handler until ctx ends.
func (c *controller) run(ctx context.Context) {
	if c.def.Paused {
		c.logger.Info("definition is paused")
		return
	}
	view := c.sources.Watch(ctx, c.watch())
	defer view.Close()
	c.own.AddCache(c.def.Watch.Kind, view)
	c.mu.Lock()
	c.view = view
	c.env.Lister = view
	c.mu.Unlock()
	defer view.Subscribe(c.onEvent, c.refresh)()
	c.refresh()

	var asking sync.WaitGroup
	asking.Go(func() { c.preflight(ctx) })
	defer asking.Wait()
	handler := c.build(ctx)
	<-ctx.Done()
	if err := c.close(handler); err != nil {
		c.logger.Error(err, "closing handler")
	}
}

// watch is what the definition watches.
func (c *controller) watch() kube.Watch {
	return kube.Watch{
		Kind: c.def.Watch.Kind, Namespaces: c.def.Watch.Namespaces,
		LabelSelector: c.def.Watch.LabelSelector, FieldSelector: c.def.Watch.FieldSelector,
		MetadataOnly: c.def.Handler.MetadataOnly() && c.def.Filter.MetadataOnly(),
	}
}

// close closes a handler that wants it.
func (c *controller) close(handler handlers.Handler) error {
	closer, ok := handler.(io.Closer)
	if !ok {
		return nil
	}
	err := runForeign(closer.Close)
	if crashed(err) {
		c.metrics.Panics.Inc()
	}
	return err
}

// build makes the handler, again and again until that succeeds or ctx ends.
func (c *controller) build(ctx context.Context) handlers.Handler {
	slow := time.AfterFunc(slowBuild, func() {
		c.mu.Lock()
		if c.handler == nil && c.buildErr == nil {
			c.buildErr = fmt.Errorf("making the %s handler takes longer than %s", c.def.Handler.Plugin(), slowBuild)
		}
		c.mu.Unlock()
		c.refresh()
	})
	defer slow.Stop()
	for delay := minBuildDelay; ctx.Err() == nil; delay = min(2*delay, maxBuildDelay) {
		handler, err := c.tryBuild(ctx)
		c.mu.Lock()
		c.handler, c.buildErr = handler, err
		c.mu.Unlock()
		if err == nil {
			close(c.built)
			c.refresh()
			return handler
		}
		c.logger.Error(err, "making handler", "retryAfter", delay)
		c.refresh()
		sleep(ctx, delay+rand.N(delay/4)) //nolint:gosec // jitter needs no cryptographic randomness
	}
	return nil
}

// tryBuild runs the plugin's constructor.
func (c *controller) tryBuild(ctx context.Context) (handlers.Handler, error) {
	env := c.env
	metrics := newRegisterer(c.registry)
	env.Metrics = metrics
	var handler handlers.Handler
	err := runForeign(func() (err error) {
		handler, err = c.def.Handler.New(ctx, env)
		return err
	})
	if err == nil {
		return handler, nil
	}
	metrics.withdraw()
	if crashed(err) {
		c.metrics.Panics.Inc()
	}
	return nil, fmt.Errorf("making the %s handler: %w", c.def.Handler.Plugin(), err)
}

// onEvent is called by the sources. While this replica does not work on the definition events are not kept: Work begins
// with everything in the cache.
func (c *controller) onEvent(e kube.Event) {
	c.mu.Lock()
	q, f := c.queue, c.filter
	c.mu.Unlock()
	if e.Type == kube.Deleted && c.failures.forget(e.Key) {
		c.refresh()
	}
	if q == nil {
		return
	}
	switch {
	case e.Type == kube.Listed && f != nil:
		f.call(e.Key, queue.Initial)
	case e.Type == kube.Listed:
		q.Add(e.Key, queue.Initial)
	case e.Type == kube.Changed && f != nil:
		f.change(e)
	case e.Type == kube.Changed:
		q.Add(e.Key, queue.Change)
	case e.Type == kube.Deleted:
		if f != nil {
			f.forget(e.Key)
		}
		q.Drop(e.Key)
	}
}
