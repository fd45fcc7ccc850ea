package reload

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
)

// Evaluator makes a config of texts. Imported are the absolute names of the files that imports have
// brought in, also after a mistake. A config.Diagnostics is a mistake in the texts; any other error
// means that another try may succeed.
type Evaluator func(ctx context.Context, files *config.Files) (cfg *config.Config, imported []string, err error)

// Observer gets what becomes of each config that was read; *telemetry.Metrics is one.
type Observer interface {
	// SetConfig records the hash of the config that runs.
	SetConfig(hash string)
	// ObserveReload records what has become of a changed config, or of another try with one, as a
	// Result, and how long that took.
	ObserveReload(result string, took time.Duration)
	// ObserveUnchanged records that the config was read again, and that what was decided about it
	// still holds: it runs, or it does not.
	ObserveUnchanged(runs bool)
}

// Result is what has become of a changed config.
type Result string

// The results.
const (
	// Accepted configs run from now on.
	Accepted Result = "accepted"
	// Refused configs have a mistake, or change what they must not change.
	Refused Result = "refused"
	// Failed is a config that could not be read or evaluated; kooperd tries again.
	Failed Result = "failed"
)

// Options of Start.
type Options struct {
	// Source is where the config is. Required.
	Source Source
	// Evaluate makes a config of what changes in the source. Required.
	Evaluate Evaluator
	// First evaluates what is there at the start. Default: Evaluate.
	First Evaluator
	// Store keeps the last accepted config; nil keeps it in memory alone.
	Store *Store
	// AllowRemovals accepts any number of definitions that are missing, and truncated files.
	AllowRemovals bool
	// IgnoreLeaderElection makes the settings of the lease count for nothing.
	IgnoreLeaderElection bool
	// Observer gets what becomes of each config. Required.
	Observer Observer
	// Refused is called with the reason when what was read last does not run, and with "" when that
	// is over. It returns quickly and calls nothing of the Reloader. Default: nothing is called.
	Refused func(reason string)
	// Logger gets one line for each config that was read. Default: nothing is logged.
	Logger logr.Logger
}

// Reloader keeps one config running after another. It is safe for concurrent use.
type Reloader struct {
	opts        Options
	guard       guard
	evaluations *evaluations
	apply       func(*config.Config) engine.Changes // set by ApplyTo

	noted  chan struct{} // holds a note that the source may have changed
	forced chan struct{} // holds a note that somebody has asked for a reload

	current atomic.Pointer[running] // that of running

	mu       sync.Mutex // makes accepting a config one step
	running  revision
	term     context.Context //nolint:containedctx // the last term; nil before the first one
	stored   string          // resourceVersion of the store's ConfigMap
	imported []string        // what the last evaluation depended on besides its files
	marks    marks           // of what Run has read
	behind   time.Time       // since when that is older than what runs; zero if it is not
	told     told            // what others know about that
}

// told is what was said of the configs that were read.
type told struct {
	refused string   // why the last one does not run; empty if it does
	counted decision // the last one that was told to the Observer
}

// decision is what was decided about a config.
type decision struct {
	result Result
	of     string // the hash of one that runs, or that of the texts of one that is refused
}

func newReloader(opts Options) *Reloader {
	if opts.First == nil {
		opts.First = opts.Evaluate
	}
	if opts.Refused == nil {
		opts.Refused = func(string) {}
	}
	if opts.Logger.GetSink() == nil {
		opts.Logger = logr.Discard()
	}
	return &Reloader{
		opts: opts, guard: guard{allowRemovals: opts.AllowRemovals, leaderElection: !opts.IgnoreLeaderElection},
		noted: make(chan struct{}, 1), forced: make(chan struct{}, 1), evaluations: newEvaluations(opts.Evaluate),
	}
}

// ApplyTo makes the present config, and from then on each that is accepted, what runs, by apply.
// engine.Engine.Apply is one. It is called once, before Run and Lead.
func (r *Reloader) ApplyTo(apply func(*config.Config) engine.Changes) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apply = apply
	apply(r.running.config)
	if r.told.refused != "" {
		r.opts.Refused(r.told.refused)
	}
}

// Running returns the config that runs.
func (r *Reloader) Running() *config.Config { return r.current.Load().config }

// Reload has the config read and evaluated again, whether it has changed or not.
func (r *Reloader) Reload() { note(r.forced) }

func note(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run follows the source until ctx ends.
func (r *Reloader) Run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { r.opts.Source.Watch(ctx, func() { note(r.noted) }) })
	var again <-chan time.Time
	for {
		force := false
		select {
		case <-ctx.Done():
			return
		case <-r.noted:
		case <-r.forced:
			force = true
		case <-again:
		}
		if wait := r.look(ctx, force); wait > 0 {
			again = time.After(wait)
		}
	}
}

// look reads the source and decides about what it finds, unless that has been decided about. It
// returns after how long another try may come to something else; 0 if none will.
func (r *Reloader) look(ctx context.Context, force bool) (again time.Duration) {
	found := r.read(ctx)
	r.mu.Lock()
	wait, decided := r.marks.decided(found.mark)
	r.mu.Unlock()
	if ctx.Err() != nil || decided && !force {
		return wait
	}
	began := time.Now()
	found = r.settled(ctx, found)
	outcome := r.consider(ctx, found)
	if ctx.Err() != nil {
		return 0
	}
	if outcome.interrupted {
		note(r.noted)
		if force {
			note(r.forced)
		}
		return 0
	}
	again = r.conclude(found, outcome, time.Since(began))
	if force {
		r.opts.Logger.Info("config was read again", "result", resultOf(outcome.err), "changed", outcome.changed, "hash", r.Running().Hash)
	}
	return again
}

// outcome is what a look at the source has come to.
type outcome struct {
	err     error
	changed bool // another config runs
	unsure  bool // what was read is not all that the config depends on

	interrupted bool // something more urgent had to be evaluated
}

// consider evaluates what was read and makes it what runs.
func (r *Reloader) consider(ctx context.Context, found reading) outcome {
	if found.err != nil {
		return outcome{err: found.err}
	}
	cfg, imported, interrupted, err := r.evaluations.makeUnlessInterrupted(ctx, found.Files)
	if interrupted {
		return outcome{interrupted: true}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && imported == nil {
		imported = r.imported // An evaluation that is ended from outside does not come to say.
	}
	o := outcome{err: err, unsure: !slices.Equal(imported, r.imported)}
	r.imported = imported
	if err == nil {
		o.changed, o.err = r.accept(newRevision(cfg, found.Snapshot, imported))
	}
	return o
}

// conclude notes how reading the config has ended, and returns what look does.
func (r *Reloader) conclude(found reading, o outcome, took time.Duration) (again time.Duration) {
	result, reason := resultOf(o.err), ""
	if o.err != nil {
		reason = o.err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.catchesUp(o.err) {
		r.marks = marks{}
		return time.Second
	}
	switch {
	case mayPass(o.err):
		again = r.marks.fail(found.mark, isExceeded(o.err))
	case !o.unsure:
		r.marks.decide(found.mark)
	}
	observe(r, found, result, o.changed, took)
	if reason == r.told.refused {
		return again
	}
	r.told.refused = reason
	r.opts.Refused(reason)
	if reason != "" {
		r.opts.Logger.Error(o.err, "the changed config does not run; the one before goes on", "result", result, "hash", r.running.config.Hash)
	} else if !o.changed {
		r.opts.Logger.Info("config is again the one that runs", "hash", r.running.config.Hash)
	}
	return again
}

// observe tells the Observer what has become of what was read. The same texts are read again at a
// signal, and when it turns out what they depend on: what was decided about them counts once. Each
// try that fails counts. r.mu is held.
func observe(r *Reloader, found reading, result Result, changed bool, took time.Duration) {
	now := decision{result: result}
	switch result {
	case Failed:
		r.opts.Observer.ObserveReload(string(result), took)
		return
	case Accepted:
		now.of = r.running.config.Hash
	case Refused:
		now.of = found.texts(r.imported)
	}
	if now == r.told.counted && !changed {
		r.opts.Observer.ObserveUnchanged(result == Accepted)
		return
	}
	r.told.counted = now
	r.opts.Observer.ObserveReload(string(result), took)
}

// catchesUp reports whether what was read is older than what runs, and the watch may be about to
// show what is newer. r.mu is held.
func (r *Reloader) catchesUp(err error) bool {
	switch {
	case !errors.Is(err, errBehind):
		r.behind = time.Time{}
	case r.behind.IsZero():
		r.behind = time.Now()
	}
	return !r.behind.IsZero() && time.Since(r.behind) < behindGrace
}

// accept makes next what runs, unless something speaks against it. r.mu is held.
func (r *Reloader) accept(next revision) (changed bool, err error) {
	switch {
	case newer(r.running.versions, next.versions):
		return false, errBehind
	case next.config.Hash == r.running.config.Hash:
		r.running = next                           // The same texts may have another version.
		return false, r.guard.restart(next.config) // Another process has accepted it, see catchUp.
	}
	if err := r.guard.check(r.running, next); err != nil {
		return false, err
	}
	if err := r.save(next); err != nil {
		return false, err
	}
	r.run(next)
	return true, nil
}

// run makes next what runs. r.mu is held.
func (r *Reloader) run(next revision) {
	before := r.current.Load()
	r.running = next
	r.current.Store(&running{config: next.config, revisions: before.revisions})
	changes := r.apply(next.config)
	r.current.Store(before.follow(next.config, changes))
	r.opts.Observer.SetConfig(next.config.Hash)
	r.opts.Logger.Info("config changed", "hash", next.config.Hash, "added", orEmpty(changes.Added), "changed", orEmpty(changes.Replaced),
		"removed", orEmpty(changes.Removed), "kept", len(next.config.Definitions)-len(changes.Added)-len(changes.Replaced))
}

// mayPass reports whether another try of the same texts may come to something else.
func mayPass(err error) bool { return resultOf(err) == Failed || isExceeded(err) }

// isExceeded reports whether an evaluation has taken more than it may.
func isExceeded(err error) bool {
	mistakes, ok := errors.AsType[config.Diagnostics](err)
	return ok && mistakes.Exceeded()
}

// resultOf keeps mistakes, which only a change of the config mends, apart from failures.
func resultOf(err error) Result {
	if err == nil {
		return Accepted
	}
	if _, refused := errors.AsType[*RefusedError](err); refused {
		return Refused
	}
	if _, mistakes := errors.AsType[config.Diagnostics](err); mistakes {
		return Refused
	}
	return Failed
}

// orEmpty makes JSON write an empty list as one, and not as null.
func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
