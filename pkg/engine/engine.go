package engine

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/history"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// Options of New.
type Options struct {
	// Cluster is where the objects are. Required.
	Cluster *kube.Cluster
	// Gate stands between the handlers under the lease and the API server; nil lets every request
	// through. Definitions that run on every replica are not gated.
	Gate *kube.Gate
	// Metrics are kept up to date. Required.
	Metrics *telemetry.Metrics
	// Board shows every definition's state. Required.
	Board *status.Board
	// Logger gets changes of state and failed calls. Default: nothing is logged.
	Logger logr.Logger
	// Installation marks the children of composers, see compose.Installation.
	Installation string
	// Records are where is noted what composers own. Default: nothing is noted, so a kind that a
	// definition ceases to own is not looked at any more.
	Records *compose.State
	// Calls is told each call of a composer, on the goroutine of the call. Default: nobody is.
	Calls func(Call)
	// HistoryLimit is how many bytes may be used to remember the last calls for each object, at
	// most. Default: 0, nothing is remembered.
	HistoryLimit int64
	// ShutdownTimeout is how long calls under way may go on after the end of the drain, before
	// their contexts end. Default: 0, they end at once.
	ShutdownTimeout time.Duration
}

// Group is a set of definitions that start and stop their work together.
type Group int

const (
	// UnderLease are the definitions that run on one replica at a time.
	UnderLease Group = iota
	// EveryReplica are the definitions with leaderElection: "disabled".
	EveryReplica
)

func groupOf(def config.Definition) Group {
	if def.EveryReplica {
		return EveryReplica
	}
	return UnderLease
}

// Engine runs the definitions of a config. It is used once: Apply and Run, and within Run, Work for
// each group and term. Apply may be called again at any time. It is safe for concurrent use.
type Engine struct {
	shared  *shared
	running sync.WaitGroup

	mu          sync.Mutex
	wanted      map[string]config.Definition
	controllers map[string]*controller // with those that are ending
	launch      func(*controller)      // runs a controller; nil before Run and after its ctx has ended
	terms       map[Group]func(*controller)
	composed    bool                    // there has been a definition with composers
	wants       map[Group]chan struct{} // see Wants
}

// New prepares an engine without definitions. It contacts nothing and starts nothing.
func New(opts Options) (*Engine, error) {
	api, err := newCluster(opts.Cluster, opts.Records)
	if err != nil {
		return nil, err
	}
	return newEngine(opts, api), nil
}

// newEngine is New for any apiServer.
func newEngine(opts Options, api apiServer) *Engine {
	if opts.Logger.GetSink() == nil {
		opts.Logger = logr.Discard()
	}
	return &Engine{
		shared: &shared{
			api: api, gate: opts.Gate, allMetrics: opts.Metrics, board: opts.Board, log: opts.Logger,
			shutdown: opts.ShutdownTimeout, recorders: newRecorders(opts.Logger),
			history: history.New(opts.HistoryLimit), slots: newFairSemaphore(0), initial: newInitialLimiter(runtime.GOMAXPROCS(0)),
			composers: composers{installation: opts.Installation, records: opts.Records, moves: compose.NewMoves(), calls: opts.Calls},
			watchesOf: func(def config.Definition) []watched { return watchesOf(def, opts.Installation) },
		},
		wanted: map[string]config.Definition{}, controllers: map[string]*controller{},
		terms: map[Group]func(*controller){},
		wants: map[Group]chan struct{}{UnderLease: make(chan struct{}), EveryReplica: make(chan struct{})},
	}
}

// watchesOf returns what a definition watches: the objects that it handles, then the children of
// each kind that its composer owns, then what that reads besides.
func watchesOf(def config.Definition, installation string) []watched {
	watches := []watched{{watch: kube.Watch{
		Kind: def.Watch.Kind, Namespaces: def.Watch.Namespaces,
		LabelSelector: def.Watch.LabelSelector, FieldSelector: def.Watch.FieldSelector,
		MetadataOnly: def.Handler.MetadataOnly() && def.Filter.MetadataOnly() && !needsWhole(def),
	}}}
	if def.Handler.Composes() {
		watches = append(watches, watchesOfComposer(def, installation)...)
	}
	return watches
}

// Run keeps the caches of all definitions and makes their handlers, until ctx ends; then it closes
// both and returns. Work must have returned before ctx ends. A definition that cannot work has a
// status on the board, and is not an error.
func (e *Engine) Run(ctx context.Context) {
	var recording sync.WaitGroup
	defer recording.Wait()
	for _, writer := range e.shared.recorders {
		recording.Go(func() { writer.Run(ctx) })
	}
	e.mu.Lock()
	e.launch = func(c *controller) {
		e.running.Go(func() {
			c.run(ctx)
			e.ended(ctx, c)
		})
	}
	for _, c := range e.controllers {
		e.launch(c)
	}
	e.mu.Unlock()
	recording.Go(func() { e.learnRecords(ctx) })
	<-ctx.Done()
	e.mu.Lock()
	e.launch = nil
	e.mu.Unlock()
	e.running.Wait()
}

// Work handles the objects of a group: every object that exists at least once, then every change.
// It returns when term or drain has ended and every call has returned. When drain ends, no new call
// is made, and those under way may finish within Options.ShutdownTimeout. When term ends, the
// contexts of the calls end with it. Definitions that Apply adds meanwhile take part. A call that
// ignores its context keeps Work from returning: the caller has to bound that.
func (e *Engine) Work(term context.Context, drain Drain, group Group) {
	var working sync.WaitGroup
	begun := map[*controller]bool{} // guarded by e.mu
	begin := func(c *controller) {
		if begun[c] || c.isRetired() || !c.rollout.concerns(group) {
			return
		}
		begun[c] = true
		c.working.Add(1)
		working.Go(func() {
			c.work(term, drain, group)
			e.mu.Lock()
			delete(begun, c)
			e.mu.Unlock()
			c.working.Done()
		})
	}
	if group == UnderLease && e.shared.records != nil {
		e.shared.records.Begin()
	}
	e.mu.Lock()
	e.terms[group] = begin
	for _, c := range e.controllers {
		begin(c)
	}
	e.mu.Unlock()
	removing, stopRemoving := context.WithCancel(term)
	defer stopRemoving()
	if group == UnderLease && e.shared.records != nil {
		working.Go(func() { remover{e}.removeDefinitions(removing) })
	}
	select {
	case <-term.Done():
	case <-drain:
	}
	stopRemoving()
	e.mu.Lock()
	delete(e.terms, group)
	e.mu.Unlock()
	working.Wait()
}

// Has reports whether the config has a definition of that group that is not paused.
func (e *Engine) Has(group Group) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.has(group)
}

// Wants returns a channel that is closed once Has is true for the group. When that ends again, it
// stays closed, and Wants returns another one.
func (e *Engine) Wants(group Group) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.wants[group]
}

// noteWanted brings wants in line with what is wanted. e.mu is held.
func (e *Engine) noteWanted() {
	for group, wants := range e.wants {
		select {
		case <-wants:
			if !e.has(group) {
				e.wants[group] = make(chan struct{})
			}
		default:
			if e.has(group) {
				close(wants)
			}
		}
	}
}

// has is Has with e.mu held.
func (e *Engine) has(group Group) bool {
	for _, def := range e.wanted {
		if !def.Paused && groupOf(def) == group {
			return true
		}
	}
	return false
}

// Pending returns the definitions whose change does not take effect yet, by name, and what each
// waits for, in the words of its reason. Those go on as before the change, in the state
// ReloadPending unless something else is wrong.
func (e *Engine) Pending() map[string]string {
	pending := map[string]string{}
	for _, c := range e.all() {
		if reason := c.pending(); reason != "" && !c.isRetired() {
			pending[c.name] = reason
		}
	}
	return pending
}

// all returns the controllers, with those that are ending.
func (e *Engine) all() []*controller {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.controllers))
}

// Unreturned says which code of plugins is running at this moment, sorted: "pods: the exec
// handler's Close". It is for the message of a process that ends without waiting any longer.
func (e *Engine) Unreturned() []string {
	var all []string
	for _, c := range e.all() {
		all = append(all, c.unreturned()...)
	}
	slices.Sort(all)
	return all
}
