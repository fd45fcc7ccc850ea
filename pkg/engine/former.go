package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

const (
	// formerInterval is how often is looked whether something is left of a kind that is not owned
	// any more.
	formerInterval = 5 * time.Second
	// formerPause is the time after a look in which there is no other one: each is at all that is
	// left, which may be much, and each that goes is an event.
	formerPause = time.Second
)

// recordBackoff is the delay between tries to record what a definition owns.
var recordBackoff = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Cap: 30 * time.Second, Steps: math.MaxInt32}

// begin records what the definition has to do with, before anything is made, and looks after what
// it has owned before. It returns false when ctx has ended before that.
//
// run starts a goroutine; the caller waits for all of them. Each of earlier is closed when the
// calls of an earlier revision have returned, which may still make objects of those kinds. The
// other functions ask for a call of a parent: add because something has changed, ask without a
// change, both if the filter wants it, and call whatever the filter says.
//
// Where everything is expected to be recorded, calls need not wait for the answer of the API
// server: what they want to change does.
func (c *composing) begin(ctx context.Context, run func(func()), add, ask, call func(kube.Key), earlier []<-chan struct{}) bool {
	if c == nil {
		return true
	}
	if !awaitEndings(ctx, c) {
		return false
	}
	r := c.reconciler.Load()
	recording := compose.NewRecording()
	if c.controller.records != nil { // Before others look at what it has: former kinds come with the records.
		r.Recorded.Await(recording)
	}
	c.controller.moves.Begin(r, ask)
	compose.BeginRollout(ctx, r, c.revision.def.Rollout, c.controller.metrics.Rollout(), ask)
	if c.controller.records == nil {
		c.revision.objects.memory.Brake.DefinitionChanged(c.revision.made)
		return true
	}
	record := func() bool {
		ok := c.record(ctx, run, add, call, earlier)
		recording.End(ok)
		return ok
	}
	if !c.controller.records.Expects(c.revision.def.IDs()[0], c.scope()) {
		return record()
	}
	run(func() { record() })
	return true
}

// record is begin that waits for everything.
func (c *composing) record(ctx context.Context, run func(func()), add, call func(kube.Key), earlier []<-chan struct{}) bool {
	for _, id := range c.revision.def.IDs() {
		c.controller.removals.stop(id)
	}
	found, ok := c.activate(ctx)
	if !ok {
		return false
	}
	c.revision.objects.memory.Brake.DefinitionChanged(found.Changed)
	since, known := found.LeaversSince()
	switch selects := c.selection.Selects() || c.selection.Where != nil; {
	case selects && known:
		run(func() { findLeavers(ctx, c, since, found.Left, call) })
	case selects: // Their children cannot be told from those that are retained.
		c.controller.logger.Info("parents that have left while nothing was running are not looked for",
			telemetry.KeyReason, "children are left of what the definition has handled before")
	}
	if len(found.Left) > 0 {
		run(func() { finishLeft(ctx, c, found.Left, earlier) })
	}
	for _, kind := range found.FormerPatches { // One that cannot be withdrawn keeps no other one.
		run(func() { withdrawFormer(ctx, c, kind, found.Left, earlier) })
	}
	all := make([]*former, len(found.Former))
	for i, kind := range found.Former {
		all[i] = c.watchFormer(ctx, kind, add)
	}
	// A parent that is deleted is let go when nothing of it is left, so these have to be seen.
	for _, f := range all {
		select {
		case <-f.source.Synced():
		case <-ctx.Done():
		}
	}
	for _, f := range all {
		run(func() { f.prune(ctx, add, earlier) })
	}
	return true
}

// finishLeft does what is to be done about what the definition does not handle any more, when the
// calls of earlier revisions have returned.
func finishLeft(ctx context.Context, c *composing, left []compose.Scope, earlier []<-chan struct{}) {
	for _, returned := range earlier {
		select {
		case <-returned:
		case <-ctx.Done():
			return
		}
	}
	leftovers{
		shared: c.controller.shared, id: c.revision.def.IDs()[0], former: c.revision.def.Formerly, now: &c.selection, gate: c.revision.gate, logger: c.controller.logger,
	}.finish(ctx, left)
}

// scope is what the definition has to do with.
func (c *composing) scope() compose.Scope { return scopeOf(c.revision.def, c.controller.installation) }

// scopeOf is what a definition of an installation has to do with.
func scopeOf(def config.Definition, installation string) compose.Scope {
	return compose.Scope{
		APIVersion: def.Watch.Kind.GroupVersion().String(), Kind: def.Watch.Kind.Kind, Namespaces: def.Watch.Namespaces,
		Owns: compose.OwnedRecords(ownedKinds(def), def.Watch.Namespaces), Finalizer: compose.FinalizerOf(installation, def.IDs()[0]),
		Patches:       compose.PatchedRecords(patchedKinds(def), def.Watch.Namespaces),
		LabelSelector: textOf(def.Watch.LabelSelector), FieldSelector: textOf(def.Watch.FieldSelector), Where: selectionOf(def).Where.Text(),
		OnRemove: string(def.OnRemove), Digest: textOfDigest(def), Formerly: def.Formerly,
	}
}

// activate records what the definition has to do with. It returns false when ctx has ended before
// that.
func (c *composing) activate(ctx context.Context) (found compose.Activation, ok bool) {
	backoff := recordBackoff.DelayFunc()
	var delay time.Duration
	err := wait.DelayFunc(func() time.Duration { return delay }).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		var err error
		found, err = c.controller.records.Activate(ctx, c.revision.def.IDs()[0], c.scope())
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		c.setTrouble(err)
		delay = backoff()
		return err == nil, nil
	})
	return found, err == nil
}

// textOf is the text of a selector, empty for none.
func textOf(selector fmt.Stringer) string {
	if selector == nil {
		return ""
	}
	return selector.String()
}

// setTrouble notes why nothing can be handled yet.
func (c *composing) setTrouble(err error) {
	c.mu.Lock()
	c.trouble = err
	c.mu.Unlock()
	c.revision.refresh()
}

// error says why nothing can be handled yet; nil if it can.
func (c *composing) error() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

// former is a kind that a definition has owned and does not own any more.
type former struct {
	*composing
	kind   compose.OwnedRecord
	source source
	logger logr.Logger
	wake   chan struct{} // holds a note that something has changed
	stop   func()        // ends the watch
	seen   bool          // children of parents that are not handled were there at the last look
}

// watchFormer watches a kind that the definition does not own any more, so that what it has made of
// it is seen.
func (c *composing) watchFormer(ctx context.Context, kind compose.OwnedRecord, add func(kube.Key)) *former {
	f := &former{
		composing: c, kind: kind, wake: make(chan struct{}, 1),
		logger: c.controller.logger.WithValues("kind", kind.Kind, "apiVersion", kind.APIVersion),
	}
	owned := handlers.OwnedKind{APIVersion: kind.APIVersion, Kind: kind.Kind, AnyNamespace: kind.AnyNamespace, MetadataOnly: true}
	child := compose.ChildSource{OwnedKind: owned, Namespaces: kind.Namespaces, Except: kind.Except}
	f.source = c.controller.api.watch(ctx, kube.Watch{
		Kind: owned.GroupVersionKind(), Namespaces: kind.Namespaces, FieldManager: compose.FieldManager, MetadataOnly: true,
		LabelSelector: labels.SelectorFromSet(labels.Set{compose.InstallationLabel: c.controller.installation}),
	})
	look := func() {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	unsubscribe := f.source.Subscribe(func(e kube.Event) {
		if !slices.Contains(kind.Except, e.Key.Namespace) {
			c.callParents(e, add)
			look()
		}
	}, look)
	child.Source = f.source
	remove := c.reconciler.Load().AddFormer(child)
	f.stop = func() {
		remove()
		unsubscribe()
		f.source.Close()
	}
	return f
}

// prune calls for the parents, so that what is left is deleted, until there is nothing or ctx ends.
func (f *former) prune(ctx context.Context, add func(kube.Key), earlier []<-chan struct{}) {
	defer f.stop()
	f.logger.Info("looking for children of a kind that the definition does not own any more")
	f.callAll(add) // What was in a cache that is shared comes with no event.
	for _, returned := range earlier {
		select {
		case <-returned:
		case <-ctx.Done():
			return
		}
	}
	again := time.NewTicker(formerInterval)
	defer again.Stop()
	said := ""
	for {
		if f.isGone(ctx) {
			if err := f.controller.records.Release(ctx, f.revision.def.IDs()[0], f.kind); err == nil {
				f.logger.Info("nothing is left of a kind that the definition does not own any more")
				return
			}
		}
		if state, reason := f.source.Status(); reason != nil && reason.Error() != said {
			said = reason.Error()
			f.logger.Info("children of a kind that the definition does not own any more cannot be looked at",
				"state", state, telemetry.KeyReason, said)
		}
		if !f.pause(ctx, again.C) {
			return
		}
	}
}

// pause waits for the next look. It returns false when ctx has ended.
func (f *former) pause(ctx context.Context, again <-chan time.Time) bool {
	rest := time.NewTimer(formerPause)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
		return false
	}
	select {
	case <-f.wake:
	case <-again:
	case <-ctx.Done():
		return false
	}
	return true
}

// isGone reports whether the parents that are handled have nothing left of the kind, nor of what
// calls have made of it and the cache does not have yet. Where others have something left, it takes
// two looks: the cache of the parents may be late.
func (f *former) isGone(ctx context.Context) bool {
	if !f.source.Listed() || f.reconciler.Load().Awaits(f.kind.GroupKind()) {
		return false
	}
	left := slices.DeleteFunc(f.source.List("", f.reconciler.Load().OfDefinition()), func(object handlers.Object) bool {
		return slices.Contains(f.kind.Except, object.Namespace())
	})
	if slices.ContainsFunc(left, func(object handlers.Object) bool {
		parent, there := f.revision.watches.primary().GetByUID(compose.ParentUID(object))
		return there && f.handles(ctx, parent)
	}) {
		return false
	}
	seen := f.seen
	f.seen = len(left) > 0
	return seen || len(left) == 0
}

// callAll calls for the parents of everything that the source has.
func (f *former) callAll(add func(kube.Key)) {
	for _, object := range f.source.List("", nil) {
		uid := compose.ParentUID(object)
		if parent, ok := f.revision.watches.primary().GetByUID(uid); ok {
			add(kube.Key{Namespace: parent.Namespace(), Name: parent.Name()})
		}
	}
}
