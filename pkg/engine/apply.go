package engine

import (
	"context"
	"maps"
	"slices"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
)

// Changes are the names of the definitions that Apply found to be different, sorted.
type Changes struct {
	// Added are those that were not there before.
	Added []string
	// Replaced are those that say something else than before.
	Replaced []string
	// Removed are those that are not there any more.
	Removed []string
	// Kept are those that say the same as before.
	Kept []string
}

// Apply makes cfg what runs. It returns at once; what it begins shows on the board.
//
// A definition that says the same as before is not touched: its queue, calls, timers and metrics go
// on. One that says something else goes on as before until its new handler is made, its rights are
// granted and its sources are synced. Then the new handler gets every object, while calls under way
// end with the old one; no object is ever handled by both at once. With another kind, queue and
// failures begin anew. With another leaderElection, the new handler waits until the last call of
// the old one has returned.
//
// One that is paused makes no new calls from now on. One that is removed makes none either, and
// when those under way have returned, nothing of it is left.
func (e *Engine) Apply(cfg *config.Config) Changes {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shared.slots.setTotal(cfg.Engine.MaxConcurrent)
	before := e.wanted
	e.wanted = map[string]config.Definition{}
	var watches []kube.Watch
	for _, def := range cfg.Definitions {
		e.wanted[def.Name] = def
		e.composed = e.composed || def.Handler.Composes()
		if !def.Paused {
			for _, w := range e.shared.watchesOf(def) {
				watches = append(watches, w.watch)
			}
		}
	}
	e.shared.api.plan(watches)
	e.shared.moves.Set(parties(cfg, e.shared.installation))
	e.converge()
	e.noteWanted()
	return changesOf(before, e.wanted)
}

// changesOf compares two sets of definitions.
func changesOf(before, after map[string]config.Definition) Changes {
	var changes Changes
	for name, def := range after {
		switch old, ok := before[name]; {
		case !ok:
			changes.Added = append(changes.Added, name)
		case sameDefinition(old, def):
			changes.Kept = append(changes.Kept, name)
		default:
			changes.Replaced = append(changes.Replaced, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			changes.Removed = append(changes.Removed, name)
		}
	}
	for _, names := range [][]string{changes.Added, changes.Replaced, changes.Removed, changes.Kept} {
		slices.Sort(names)
	}
	return changes
}

// converge brings the controllers in line with what is wanted. e.mu is held.
func (e *Engine) converge() {
	for name, c := range e.controllers {
		_, ok := e.wanted[name]
		switch {
		case ok || c.isRetired(): // The end of one that is retired comes here again.
		case e.launch == nil: // It does not run yet.
			c.remove()
			delete(e.controllers, name)
		default:
			e.shared.endings.add(c.rollout.definition().IDs()[0], c.gone)
			c.retire()
		}
	}
	for name, c := range e.controllers {
		if def, ok := e.wanted[name]; ok && !c.isRetired() {
			c.set(def)
			e.begin(c) // It may be of another group now.
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.wanted)) {
		if e.controllers[name] == nil {
			e.start(e.wanted[name])
		}
	}
}

// start adds a controller. e.mu is held.
func (e *Engine) start(def config.Definition) {
	c := newController(e.shared, def)
	e.controllers[def.Name] = c
	if e.launch != nil {
		e.launch(c)
	}
	e.begin(c)
}

// begin lets a controller take part in the work of this moment. e.mu is held.
func (e *Engine) begin(c *controller) {
	for _, begin := range e.terms {
		begin(c)
	}
}

// ended is called when a controller has ended. Unless ctx has, it was retired.
func (e *Engine) ended(ctx context.Context, c *controller) {
	if ctx.Err() != nil {
		return
	}
	c.remove()
	close(c.gone)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.controllers, c.name)
	e.shared.changes.announce()
	if e.launch != nil {
		e.converge() // It may be wanted again.
	}
}

// sameDefinition reports whether nothing has to be done to get from one to the other. A definition
// without a digest is like no other.
func sameDefinition(a, b config.Definition) bool {
	return a.Digest == b.Digest && a.Digest != config.Digest{}
}
