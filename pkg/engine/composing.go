package engine

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// composing is what a revision has whose plugin makes composers. A nil *composing is that of a
// revision with a handler.
type composing struct {
	controller *controller
	revision   *revision
	selection  compose.Selection
	reconciler atomic.Pointer[compose.Reconciler] // nil until it is made
	pauser     handlers.Pauser                    // the composer, if it is one; set before reconciler is

	mu      sync.Mutex
	trouble error // why nothing can be handled yet
}

// newComposing returns nil for a revision with a handler.
func newComposing(c *controller, r *revision) *composing {
	if !r.def.Handler.Composes() {
		return nil
	}
	composing := &composing{controller: c, revision: r, selection: selectionOf(r.def)}
	owned, reads := len(r.def.Handler.Owns()), len(r.def.Handler.Reads())
	watches := r.watches.watches[1:]
	for i := range watches {
		notify := composing.onChild
		if related := i - owned; related >= reads {
			notify = func(e kube.Event, add func(kube.Key)) { onPatched(composing, e, add) }
		} else if related >= 0 {
			notify = func(e kube.Event, add func(kube.Key)) { composing.onRelated(related, e, add) }
		}
		watches[i].notify = notify
	}
	if readsByNamespace(r.def) {
		watches[len(watches)-1].notify = func(e kube.Event, add func(kube.Key)) { onNamespace(composing, e, add) }
	}
	return composing
}

// onPatched takes an event of patched objects, as onChild does.
func onPatched(c *composing, e kube.Event, add func(kube.Key)) {
	if r := c.reconciler.Load(); r != nil && e.Type != kube.Listed {
		compose.OnPatched(r, e, add)
	}
}

// onNamespace takes an event of Namespaces, as onChild does.
func onNamespace(c *composing, e kube.Event, add func(kube.Key)) {
	if r := c.reconciler.Load(); r != nil && e.Type != kube.Listed {
		compose.OnNamespace(r, e, add)
	}
}

// onChild takes an event of children. What was there when they were listed needs no call: the calls
// for all parents begin after that.
func (c *composing) onChild(e kube.Event, add func(kube.Key)) {
	if e.Type != kube.Listed {
		c.callParents(e, add)
	}
}

// callParents calls for the parents that a child is about.
func (c *composing) callParents(e kube.Event, add func(kube.Key)) {
	if r := c.reconciler.Load(); r != nil {
		r.OnChild(e, add)
	}
}

func (c *composing) onRelated(related int, e kube.Event, add func(kube.Key)) {
	if r := c.reconciler.Load(); r != nil && e.Type != kube.Listed {
		r.OnRelated(related, e, add)
	}
}

// isOwn reports whether an event of a parent is that of a write of ours, see compose.
func (c *composing) isOwn(e kube.Event, add func(kube.Key)) bool {
	r := c.reconciler.Load()
	return r != nil && r.OwnEvent(e, add)
}

// forget is called with the event of a parent that is gone.
func (c *composing) forget(e kube.Event) {
	if c == nil {
		return
	}
	if r := c.reconciler.Load(); r != nil {
		var uid types.UID // of one that was never handled, too
		if old := e.Old(); old != nil {
			uid = old.UID()
		}
		r.Forget(e.Key, uid)
	}
}

// pause is called when the work on the definition has ended.
func (c *composing) pause() {
	if c == nil {
		return
	}
	r := c.reconciler.Load()
	if r == nil {
		return
	}
	r.Pause()
	if c.pauser == nil {
		return
	}
	err := c.revision.builder.runForeign("Pause", func() error {
		c.pauser.Pause()
		return nil
	})
	if err != nil {
		c.revision.builder.logger.Error(err, "pausing composer")
	}
}

// retired is called when the last call of the revision has returned. now is the revision that
// handles objects, nil if none does.
func (c *composing) retired(ctx context.Context, now *revision) {
	if c == nil {
		return
	}
	r := c.reconciler.Load()
	switch {
	case r == nil:
	case now == nil || now.composing == nil || now.objects != c.revision.objects:
		r.Pause()
	default:
		r.Retain(func(key kube.Key) bool {
			parent, ok := now.watches.primary().Get(key.Namespace, key.Name)
			return ok && now.composing.handles(ctx, parent)
		})
	}
	if current, next := c.controller.rollout.revisions(); current != nil && current.composing == nil && (next == nil || next.composing == nil) {
		c.controller.metrics.ObserveParents(nil)
		c.controller.metrics.Compose().Remove()
		c.controller.metrics.Rollout().Remove()
	}
}

// order returns the keys of all objects, those that changed last first where they are parents: a
// new parent does not wait behind all old ones.
func (c *composing) order(parents source) []kube.Key {
	keys := parents.Keys()
	if c == nil {
		return keys
	}
	type aged struct {
		key     kube.Key
		version uint64
	}
	all := make([]aged, 0, len(keys))
	for _, key := range keys {
		entry := aged{key: key}
		if object, ok := parents.Get(key.Namespace, key.Name); ok {
			entry.version, _ = strconv.ParseUint(object.ResourceVersion(), 10, 64) // 0 for one that cannot be compared
		}
		all = append(all, entry)
	}
	slices.SortFunc(all, func(a, b aged) int { return cmp.Compare(b.version, a.version) })
	ordered := make([]kube.Key, len(all))
	for i, entry := range all {
		ordered[i] = entry.key
	}
	return ordered
}

// makeHandler makes the handler of the revision: the plugin's own, or what carries out what its
// composer says.
func (r *revision) makeHandler(ctx context.Context, env handlers.Env) (handlers.Handler, error) {
	if r.composing == nil {
		return r.def.Handler.New(ctx, env)
	}
	composer, err := r.def.Handler.NewComposer(ctx, env)
	if err != nil {
		return nil, err
	}
	r.composing.pauser, _ = composer.(handlers.Pauser)
	return r.composing.make(observed(composer, r.def, r.composing.controller.calls), env)
}

func (c *composing) make(composer handlers.Composer, env handlers.Env) (handlers.Handler, error) {
	client, err := compose.NewClient(env.Clients.REST, c.controller.api.Kinds())
	if err != nil {
		return nil, err
	}
	r := compose.New(compose.Options{
		Identity:   identityOf(c.revision.def, c.controller.installation),
		Membership: compose.Membership{Moves: c.controller.moves, Digest: textOfDigest(c.revision.def)},
		Composer:   composer, ParentWrites: compose.ParentWrites{Status: c.revision.def.Status, Marks: c.revision.def.Handler.Marks()},
		Deletion:  compose.Deletion{Finalizes: c.revision.def.Handler.Finalizes(), Ordered: c.revision.def.Handler.Ordered()},
		Selection: c.selection, Parents: c.revision.watches.primary(), Children: c.children(),
		OtherSources: otherSources(c),
		Client:       client, Dynamic: env.Clients.Dynamic,
		Remembered: compose.Remembered{Memory: c.revision.objects.memory, Leavers: c.revision.objects.leavers},
		Metrics:    c.controller.metrics.Compose(), Events: env.Events, Logger: env.Logger,
	})
	c.reconciler.Store(r)
	c.controller.metrics.ObserveParents(c.controller.longest)
	if c.revision.def.Rollout != nil {
		c.controller.metrics.Rollout().Declare()
	}
	return r, nil
}
