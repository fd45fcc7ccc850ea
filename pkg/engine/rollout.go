package engine

import (
	"context"
	"slices"
	"sync"

	"kooperd.dev/kooperd/pkg/config"
)

// rollout keeps the revisions of one definition: at most one that handles objects, one that is
// going to replace it, and those before, until their last calls have returned. A paused definition
// has none of the first two. It is about the definition itself; how a change gets to one object
// after another is compose.Rollout's.
type rollout struct {
	// newRevision makes a revision and the context that its end ends. replaced may be nil.
	newRevision func(def config.Definition, replaced *revision) (*revision, lifetime)
	// keep runs a revision until current ends. replaces reports whether another one is active.
	keep func(ctx context.Context, current lifetime, r *revision, replaces bool)

	running sync.WaitGroup

	mu       sync.Mutex
	wanted   config.Definition
	launch   func(keep func(ctx context.Context)) // nil before start and after stop
	live     []*revision                          // those that have not ended
	active   *revision                            // handles the objects; nil until a first one is ready
	next     *revision                            // replaces active when it is ready
	handover chan struct{}                        // closed, and made anew, when active changes
}

// start runs the first revision; ctx is that of all.
func (o *rollout) start(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.launch = func(keep func(context.Context)) { o.running.Go(func() { keep(ctx) }) }
	o.replace()
}

// stop ends all revisions and waits for them.
func (o *rollout) stop() {
	o.mu.Lock()
	o.launch = nil
	for _, r := range o.live {
		r.end()
	}
	o.mu.Unlock()
	o.running.Wait()
}

// set makes def what is wanted and reports whether that is a change.
func (o *rollout) set(def config.Definition) (changed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if sameDefinition(o.wanted, def) {
		return false
	}
	o.wanted = def
	if o.launch != nil {
		o.replace()
	}
	return true
}

// replace runs a revision of what is wanted. o.mu is held.
func (o *rollout) replace() {
	if o.next != nil {
		o.next.builder.registry.close()
		o.next.end()
		o.next = nil
	}
	if o.wanted.Paused {
		o.retire()
		return
	}
	if o.active != nil && sameDefinition(o.active.def, o.wanted) {
		return // It was changed back before the change took effect.
	}
	r, current := o.newRevision(o.wanted, o.active)
	o.next, o.live = r, append(o.live, r)
	replaces := o.active != nil
	o.launch(func(ctx context.Context) {
		o.keep(ctx, current, r, replaces)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.live = slices.DeleteFunc(o.live, func(other *revision) bool { return other == r })
	})
}

// retire ends the active revision, and leaves none. o.mu is held.
func (o *rollout) retire() {
	if o.active == nil {
		return
	}
	o.active.builder.registry.close() // So that another one can register the same.
	o.active.end()
	o.active = nil
	o.handedOver()
}

// handedOver notes that active has changed. o.mu is held.
func (o *rollout) handedOver() {
	close(o.handover)
	o.handover = make(chan struct{})
}

// activate makes r the one that handles objects, and returns the one before, which may be nil. It
// returns false when r has been replaced meanwhile.
func (o *rollout) activate(r *revision) (before *revision, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next != r {
		return nil, false
	}
	before, o.active, o.next = o.active, r, nil
	o.handedOver()
	return before, true
}

// concerns reports whether a group has, or is going to have, something to do with the definition.
func (o *rollout) concerns(group Group) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.active != nil && o.active.group == group || !o.wanted.Paused && groupOf(o.wanted) == group
}

// dispatch returns the active revision if it is one of the group: ours. It is nil if it is that of
// last, which may be nil; else its dispatcher is counted, and the caller has to take it off again.
// handover is closed when there is another one, or none.
func (o *rollout) dispatch(group Group, last *dispatcher) (r *revision, ours bool, handover <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.active == nil || o.active.group != group:
		return nil, false, o.handover
	case last != nil && o.active == last.revision:
		return nil, true, o.handover
	}
	o.active.dispatched.Add(1)
	return o.active, true, o.handover
}

// isOf reports whether the active revision is one of the group. handover is closed when there is
// another one, or none.
func (o *rollout) isOf(group Group) (ours bool, handover <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.active != nil && o.active.group == group, o.handover
}

// current returns the active revision, which may be nil.
func (o *rollout) current() *revision {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.active
}

// revisions returns the revision that the definition's state is about, and the one that is going to
// replace it. Both may be nil.
func (o *rollout) revisions() (current, next *revision) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.active == nil {
		return o.next, nil
	}
	return o.active, o.next
}

// unreturned says which code of plugins is running in New and Close.
func (o *rollout) unreturned() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, r := range o.live {
		all = append(all, r.builder.unreturned()...)
	}
	return all
}

// composers are the ids, with former ones, of revisions that have not ended whose plugins make
// composers.
func (o *rollout) composers() (ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.live {
		if r.composing != nil {
			ids = append(ids, r.def.IDs()...)
		}
	}
	return ids
}

// definition returns what is wanted.
func (o *rollout) definition() config.Definition {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.wanted
}
