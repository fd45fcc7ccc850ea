package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// The time between two tries of a removal: while something is being deleted, and after an error,
// where it is doubled up to the last.
const (
	removalInterval     = time.Second
	lastRemovalInterval = time.Minute
)

// removals are the clean-ups of removed definitions that are under way, by the id of the
// definition. It is safe for concurrent use.
type removals struct {
	mu      sync.Mutex
	running map[string]removing
}

type removing struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// run does something about a definition that is gone, unless stop ends it. What was begun before
// about the same one ends first.
func (r *removals) run(ctx context.Context, id string, remove func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	one := removing{cancel: cancel, done: make(chan struct{})}
	defer close(one.done)
	r.mu.Lock()
	if r.running == nil {
		r.running = map[string]removing{}
	}
	before, ok := r.running[id]
	r.running[id] = one
	r.mu.Unlock()
	if ok {
		before.cancel()
		<-before.done
	}
	remove(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[id].done == one.done {
		delete(r.running, id)
	}
}

// stop ends what is being done about a definition that is there again.
func (r *removals) stop(id string) {
	r.mu.Lock()
	one, ok := r.running[id]
	r.mu.Unlock()
	if ok {
		one.cancel()
		<-one.done
	}
}

// remover looks after definitions that are gone.
type remover struct{ *Engine }

// removeDefinitions looks for definitions that are gone, whoever has seen them go, until ctx ends.
func (e remover) removeDefinitions(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	seen := map[string]bool{} // by id, those that are being looked after, or need it no more
	for {
		changed := e.shared.changes.next()
		for _, id := range e.goneDefinitions(ctx, seen) {
			running.Go(func() { e.removeDefinition(ctx, id) })
		}
		timer := time.NewTimer(removalInterval) // Changes come in great numbers.
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// goneDefinitions returns the recorded definitions that are not there, and adds them to seen.
// Without a definition of a composer, there may be no right to read the records.
func (e remover) goneDefinitions(ctx context.Context, seen map[string]bool) (gone []string) {
	present := e.composers()
	for id := range seen {
		if slices.Contains(present, id) {
			delete(seen, id) // It is there again.
		}
	}
	e.mu.Lock()
	composes := e.composed
	e.mu.Unlock()
	if !composes {
		return nil
	}
	records, err := e.shared.records.All(ctx)
	if err != nil {
		return nil // Those that are there say why.
	}
	for id, record := range records {
		if done := record.Kind == "" && !slices.ContainsFunc(record.Left, func(s compose.Scope) bool { return !s.Done }); done ||
			seen[id] || slices.Contains(present, id) {
			continue
		}
		seen[id] = true
		gone = append(gone, id)
	}
	return gone
}

// composers are the ids of the definitions whose plugins make composers, with former ones, also of
// those that are ending, and those that are paused.
func (e remover) composers() (ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, def := range e.wanted {
		if def.Handler.Composes() {
			ids = append(ids, def.IDs()...)
		}
	}
	for _, c := range e.controllers {
		ids = append(ids, c.rollout.composers()...)
	}
	return ids
}

// removeDefinition looks after one definition that is gone.
func (e remover) removeDefinition(ctx context.Context, id string) {
	logger := e.shared.log.WithValues(telemetry.KeyController, id)
	e.shared.removals.run(ctx, id, func(ctx context.Context) {
		if slices.Contains(e.composers(), id) {
			return
		}
		left, err := e.shared.records.Remove(ctx, id)
		for delay := removalInterval; err != nil && ctx.Err() == nil; delay = min(2*delay, lastRemovalInterval) {
			timer := time.NewTimer(delay)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
			left, err = e.shared.records.Remove(ctx, id)
		}
		if ctx.Err() != nil {
			return
		}
		left = slices.DeleteFunc(left, func(s compose.Scope) bool { return s.Done })
		leftovers{shared: e.shared, id: id, gate: e.shared.gate, logger: logger}.finish(ctx, left)
	})
}
