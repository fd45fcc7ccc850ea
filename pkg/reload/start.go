package reload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
)

// storeTimeout bounds one request to the store.
const storeTimeout = 5 * time.Second

// Start reads the config for the first time. With a Store, a config that has a mistake, or that
// must not replace the last accepted one, is refused, and the Reloader begins with that one. When
// there is none, the error is why: a config.Diagnostics for mistakes.
func Start(ctx context.Context, opts Options) (*Reloader, error) {
	r := newReloader(opts)
	opts = r.opts
	found := r.read(ctx)
	var first revision
	if found.err == nil {
		var cfg *config.Config
		if cfg, r.imported, found.err = opts.First(ctx, found.Files); found.err == nil {
			first = newRevision(cfg, found.Snapshot)
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
	}
	if opts.Store != nil {
		first, found.err = r.fallBack(ctx, first, found.err)
	}
	if first.config == nil {
		return nil, found.err
	}
	if found.err != nil {
		r.refused = found.err.Error()
		r.opts.Logger.Error(found.err, "the config does not run; the last accepted one does", "result", resultOf(found.err), "hash", first.config.Hash)
	}
	if resultOf(found.err) != Failed && len(r.imported) == 0 {
		r.seen = found.mark // Else the first look decides again, about all that the config depends on.
	}
	r.running = first
	r.current.Store(first.config)
	r.opts.Observer.ObserveReload(string(resultOf(found.err)), 0)
	return r, nil
}

// fallBack returns what to begin with: first, or the last accepted config if first has an error or
// must not replace it.
func (r *Reloader) fallBack(ctx context.Context, first revision, err error) (revision, error) {
	last, loadErr := r.loadAccepted(ctx)
	if loadErr != nil || last == nil {
		return first, errors.Join(err, unlessUsable(first, loadErr))
	}
	if first.config != nil && first.config.Hash == last.Hash {
		return first, nil
	}
	before, lastErr := r.revive(ctx, *last)
	if lastErr != nil {
		return first, errors.Join(err, unlessUsable(first, fmt.Errorf("evaluating the last accepted config: %w", lastErr)))
	}
	if err == nil {
		starting := r.guard
		starting.leaderElection = false // This process is the restart that its changes need.
		err = starting.check(before, first)
	}
	if err != nil {
		return before, err
	}
	return first, nil
}

// loadAccepted reads the store, for a bounded time.
func (r *Reloader) loadAccepted(ctx context.Context) (*accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return r.opts.Store.load(ctx)
}

// unlessUsable returns err when there is no config to begin with.
func unlessUsable(first revision, err error) error {
	if first.config != nil {
		return nil
	}
	return err
}

// revive makes a revision of a stored config.
func (r *Reloader) revive(ctx context.Context, a accepted) (revision, error) {
	files, err := config.NewFiles(a.Files...)
	if err != nil {
		return revision{}, err
	}
	cfg, _, err := r.opts.Evaluate(ctx, files)
	if err != nil {
		return revision{}, err
	}
	return newRevision(cfg, Snapshot{Files: files, Versions: a.Versions}), nil
}

// Lead is to be called at the beginning of each term, before anything works under it. It returns
// when this replica runs the config that was accepted last, by whichever replica, or a newer one,
// and that is stored. It tries again until then, or until term or drain ends, which is an error.
// Without a Store it returns at once.
func (r *Reloader) Lead(term context.Context, drain engine.Drain) error {
	r.mu.Lock()
	r.term = term
	r.mu.Unlock()
	if r.opts.Store == nil {
		return nil
	}
	said := ""
	defer func() {
		if said != "" {
			r.opts.Refused(r.lastRefused())
		}
	}()
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: math.MaxInt32, Cap: 5 * time.Second}
	for {
		err := r.catchUp(term)
		if err == nil {
			return nil
		}
		if err.Error() != said {
			said = err.Error()
			r.opts.Logger.Error(err, "waiting to work until the accepted config is known")
			r.opts.Refused("nothing is worked on before it is known: " + said)
		}
		select {
		case <-term.Done():
			return fmt.Errorf("looking for the accepted config: %w", context.Cause(term))
		case <-drain:
			return errors.New("looking for the accepted config: stopping")
		case <-time.After(backoff.Step()):
		}
	}
}

func (r *Reloader) lastRefused() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// catchUp compares what runs with what is stored, and makes both the newer of the two.
func (r *Reloader) catchUp(term context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, err := r.loadAccepted(term)
	if err != nil && last == nil {
		return err
	}
	if last == nil {
		r.stored = ""
		return r.save(r.running)
	}
	r.stored = last.resourceVersion
	if err != nil {
		r.opts.Logger.Error(err, "storing the config that runs in its place")
		return r.save(r.running)
	}
	if !newer(last.Versions, r.running.versions) {
		if last.Hash == r.running.config.Hash && !newer(r.running.versions, last.Versions) {
			return nil
		}
		return r.save(r.running)
	}
	if last.Hash == r.running.config.Hash {
		r.running.versions = last.Versions
		return nil
	}
	next, err := r.revive(term, *last)
	if resultOf(err) == Failed {
		return fmt.Errorf("evaluating the accepted config: %w", err)
	}
	if err != nil { // A later version of kooperd has accepted it. To do nothing at all would be worse.
		r.opts.Logger.Error(err, "working with an older config than the accepted one, which has a mistake for this version")
		return nil
	}
	r.run(next)
	r.seen = ""
	note(r.noted)
	return nil
}

// errBehind is the error for a config that is older than the accepted one.
var errBehind = errors.New("a newer config has been accepted; waiting for it")

// save stores what is going to run, if this replica leads and there is a store. r.mu is held.
func (r *Reloader) save(next revision) error {
	if r.opts.Store == nil || r.term == nil || r.term.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.term, storeTimeout)
	defer cancel()
	a := accepted{Versions: next.versions, Hash: next.config.Hash, Files: next.files, resourceVersion: r.stored}
	version, err := r.opts.Store.save(ctx, a, time.Now())
	if isConflict(err) {
		last, loadErr := r.opts.Store.load(ctx)
		switch {
		case last == nil && loadErr != nil:
			return loadErr
		case last == nil:
			a.resourceVersion = ""
		case newer(last.Versions, next.versions):
			return errBehind
		default:
			a.resourceVersion = last.resourceVersion
		}
		version, err = r.opts.Store.save(ctx, a, time.Now())
	}
	if err != nil {
		return err
	}
	r.stored = version
	return nil
}
