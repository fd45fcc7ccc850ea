package engine

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// Options of New.
type Options struct {
	// Config is what to run. Required.
	Config *config.Config
	// Cluster is where the objects are. Required.
	Cluster *kube.Cluster
	// Gate stands between the handlers under the lease and the API server; nil lets every request through. Definitions
	// that run on every replica are not gated.
	Gate *kube.Gate
	// Metrics are kept up to date. Required.
	Metrics *telemetry.Metrics
	// Board is told of every definition's state. Required.
	Board *status.Board
	// Logger is told of changes of state and of failed calls. Default: nothing is logged.
	Logger logr.Logger
	// ShutdownTimeout is how long calls under way may go on after the end of the drain context, before their own
	// contexts end. Default: 0, they end at once.
	ShutdownTimeout time.Duration
}

// Group is a set of definitions that start and stop their work together.
type Group int

// The groups.
const (
	// UnderLease are the definitions that run on one replica at a time.
	UnderLease Group = iota
	// EveryReplica are the definitions with leaderElection: "disabled".
	EveryReplica
)

// Engine runs every definition of one config. It is used once: Run, and within it Work for each group and term.
type Engine struct {
	controllers []*controller
	recorders   *recorders
}

// New prepares the controllers; it contacts nothing and starts nothing.
func New(opts Options) (*Engine, error) {
	if opts.Logger.GetSink() == nil {
		opts.Logger = logr.Discard()
	}
	reviews, err := opts.Cluster.AccessReviews()
	if err != nil {
		return nil, err
	}
	namespaces, err := opts.Cluster.Namespaces()
	if err != nil {
		return nil, err
	}
	checker := access.NewChecker(opts.Cluster.Kinds(), reviews, namespaces)
	e := &Engine{recorders: newRecorders()}
	pool := newSlots(opts.Config.Engine.MaxConcurrent, countRunning(opts.Config.Definitions))
	for _, def := range opts.Config.Definitions {
		gate := opts.Gate
		if def.EveryReplica {
			gate = nil
		}
		own := kube.NewConsistencyStore(def.Watch.Kind)
		clients, err := opts.Cluster.Clients(def.Name, gate, own)
		if err != nil {
			return nil, err
		}
		recorder, err := e.recorders.recorder(def.Name, clients.REST)
		if err != nil {
			return nil, err
		}
		c := newController(def, opts)
		c.gate, c.own, c.env.Clients, c.env.Events = gate, own, clients, recorder
		c.checker = checker
		if c.limits.share = pool.newShare(); c.limits.share != nil {
			c.metrics.ObserveThrottled(telemetry.LimitMaxConcurrent, c.limits.bySlots.read)
		}
		c.registry = prometheus.WrapRegistererWith(prometheus.Labels{telemetry.KeyController: def.Name}, opts.Metrics.Registry())
		e.controllers = append(e.controllers, c)
	}
	opts.Cluster.Sources.Plan(e.watches())
	return e, nil
}

// countRunning counts the definitions that run.
func countRunning(definitions []config.Definition) int {
	n := 0
	for _, def := range definitions {
		if !def.Paused {
			n++
		}
	}
	return n
}

// watches are those of all definitions that run.
func (e *Engine) watches() []kube.Watch {
	var all []kube.Watch
	for _, c := range e.controllers {
		if !c.def.Paused {
			all = append(all, c.watch())
		}
	}
	return all
}

// Run keeps the caches of all definitions and makes their handlers, until ctx ends; then it closes both and returns.
// Work must have returned before ctx ends. A definition that cannot work is a status on the board, not an error.
func (e *Engine) Run(ctx context.Context) {
	stopRecorders := e.recorders.start(ctx)
	defer stopRecorders()
	var running sync.WaitGroup
	for _, c := range e.controllers {
		running.Go(func() { c.run(ctx) })
	}
	running.Wait()
}

// Work handles the objects of a group: every object that exists at least once, then every change. It returns when ctx or drain
// has ended and every call has returned. When drain ends, no new call is made and those under way may finish within
// Options.ShutdownTimeout; when ctx ends, the contexts of the calls end with it. A call that ignores its context keeps
// Work from returning: the caller has to bound that.
func (e *Engine) Work(ctx, drain context.Context, group Group) {
	var working sync.WaitGroup
	for _, c := range e.controllers {
		if c.def.Paused || c.def.EveryReplica != (group == EveryReplica) {
			continue
		}
		working.Go(func() { c.work(ctx, drain) })
	}
	working.Wait()
}

// Has tells whether the config has a definition of that group that is not paused.
func (e *Engine) Has(group Group) bool {
	for _, c := range e.controllers {
		if !c.def.Paused && c.def.EveryReplica == (group == EveryReplica) {
			return true
		}
	}
	return false
}
