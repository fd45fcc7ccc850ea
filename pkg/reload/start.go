package reload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
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
			first = newRevision(cfg, found.Snapshot, r.imported)
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
		r.told.refused = found.err.Error()
		r.opts.Logger.Error(found.err, "the config does not run; the last accepted one does", "result", resultOf(found.err), "hash", first.config.Hash)
	}
	if !mayPass(found.err) && len(r.imported) == 0 {
		r.marks.decide(found.mark) // Else the first look decides again, about all that it depends on.
	}
	r.running, r.guard.lease = first, first.config.LeaderElection
	r.current.Store(begin(first.config))
	observe(r, found, resultOf(found.err), true, 0)
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
	cfg, imported, err := r.evaluations.make(ctx, files)
	if err != nil {
		return revision{}, err
	}
	return newRevision(cfg, Snapshot{Files: files, Versions: a.Versions}, imported), nil
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
	ctx, cancel := context.WithCancel(term)
	var draining sync.WaitGroup
	draining.Go(func() {
		select {
		case <-drain:
			cancel()
		case <-ctx.Done():
		}
	})
	defer draining.Wait()
	defer cancel()
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: math.MaxInt32, Cap: 5 * time.Second}
	for {
		err := r.catchUp(ctx)
		if err == nil {
			return nil
		}
		if err.Error() != said {
			said = err.Error()
			r.opts.Logger.Error(err, "waiting to work until the accepted config is known and stored")
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
	return r.told.refused
}

// catchUp compares what runs with what is stored, and makes both the one that counts: the newer of
// the two, unless it must not replace the other.
func (r *Reloader) catchUp(ctx context.Context) error {
	last, loadErr := r.loadAccepted(ctx)
	if loadErr != nil && last == nil {
		return loadErr
	}
	var stored *revision // nil if it cannot run here, or runs already
	var mistakes error
	if loadErr == nil && last != nil && last.Hash != r.Running().Hash {
		r.evaluations.interrupt()
		next, err := r.revive(ctx, *last)
		switch {
		case mayPass(err):
			return fmt.Errorf("evaluating the accepted config: %w", err)
		case err != nil:
			mistakes = err
		default:
			stored = &next
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settle(last, stored, errors.Join(loadErr, mistakes))
}

// settle is the second half of catchUp. last is what is stored, nil if nothing is. stored is what
// that says, nil if it runs already, or is of no use for the reason in err. r.mu is held.
func (r *Reloader) settle(last *accepted, stored *revision, err error) error {
	r.stored = ""
	if last != nil {
		r.stored = last.resourceVersion
	}
	switch {
	case last == nil:
		return r.save(r.running)
	case err != nil && newer(last.Versions, r.running.versions):
		// A later version of kooperd has accepted it. To do nothing at all would be worse.
		r.opts.Logger.Error(err, "working with an older config than the accepted one, which this version cannot run")
		return nil
	case err != nil:
		r.opts.Logger.Error(err, "storing the config that runs in place of the accepted one")
		return r.save(r.running)
	case last.Hash == r.running.config.Hash && newer(last.Versions, r.running.versions):
		r.running.versions = last.Versions
		return nil
	case last.Hash == r.running.config.Hash && !newer(r.running.versions, last.Versions):
		return nil
	case last.Hash == r.running.config.Hash:
		return r.save(r.running)
	case stored == nil:
		return errors.New("the config has changed meanwhile")
	}
	own := r.guard
	own.leaderElection = false // Settings of the lease are decided about by starting a process.
	if !newer(last.Versions, r.running.versions) && own.check(*stored, r.running) == nil {
		return r.save(r.running)
	}
	r.run(*stored)
	r.marks = marks{} // What the source has is decided about anew, by what runs now.
	note(r.noted)
	return nil
}

// behindGrace is for how long it is no news that a source is older than what runs.
const behindGrace = 30 * time.Second

// errBehind is the error for a config that is older than the accepted one. Mostly the watch is
// about to catch up. It never does when a ConfigMap was restored that another cluster, or a later
// time, has made.
var errBehind = errors.New("the accepted config is of a newer version of the ConfigMap than this one; " +
	"if the ConfigMaps were restored from a backup, delete the one with the accepted config and restart kooperd")

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
