package engine

import (
	"context"
	"slices"
	"time"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// leaverDelay is how long after the beginning of the work is looked for parents that have left
// before. There is no hurry, and the first calls need the processor.
const leaverDelay = 5 * time.Second

// selectionOf is which objects a definition handles.
func selectionOf(def config.Definition) compose.Selection {
	watch := def.Watch
	return compose.Selection{
		Kind: watch.Kind, Namespaces: watch.Namespaces, Labels: watch.LabelSelector, Fields: watch.FieldSelector,
		Where: compose.NewWhere(def.Filter),
	}
}

// leaving is what a revision knows of parents that are handled no more. Without a composer, there
// are none.
type leaving struct{ *composing }

// gone takes the event of a parent that the source does not have any more. It reports whether the
// parent is to be looked at: it may have left the selectors. One that was being deleted, and needed
// nothing of us for that, is gone.
func (c leaving) gone(e kube.Event) bool {
	if c.composing == nil || e.Old() == nil || !c.selection.Selects() {
		return false
	}
	m := e.Old().Metadata()
	isOurs := func(name string) bool { return slices.Contains(m.Finalizers, name) }
	if m.DeletionTimestamp != nil && !slices.ContainsFunc(c.controller.finalizersOf(c.revision.def), isOurs) {
		return false
	}
	c.revision.objects.leavers.Note(e.Old())
	return true
}

// hasLeft reports whether an object that the filter does not let through is to be handled
// nevertheless: its children are to be deleted. changed is false when something else has changed.
func (c leaving) hasLeft(ctx context.Context, obj handlers.Object, changed bool) bool {
	if c.composing == nil || c.selection.Where == nil {
		return false
	}
	r := c.reconciler.Load()
	return r != nil && compose.HasLeft(ctx, r, obj, changed)
}

// handles reports whether an object in the cache is one that the definition handles.
func (c *composing) handles(ctx context.Context, obj handlers.Object) bool {
	return c == nil || !c.selection.Excludes(ctx, obj)
}

// isLeaving reports whether an object is being deleted, or has left: kinds that are not served are
// no reason to wait then.
func (c leaving) isLeaving(obj handlers.Object) bool {
	if obj.Metadata().DeletionTimestamp != nil {
		return true
	}
	left, ok := c.leaver(kube.Key{Namespace: obj.Namespace(), Name: obj.Name()})
	return ok && left.UID() == obj.UID()
}

// leaver returns a parent of that key that may have left.
func (c leaving) leaver(key kube.Key) (handlers.Object, bool) {
	if c.composing == nil {
		return nil, false
	}
	return c.revision.objects.leavers.Get(key)
}

// findLeavers calls for parents that have left while nobody was there to see it. Of children that
// are older than since, it is not known what the file has said. left is what the definition has
// handled before: as long as something is to be done about that, finalizers say nothing.
func findLeavers(ctx context.Context, c *composing, since time.Time, left []compose.Scope, call func(kube.Key)) {
	timer := time.NewTimer(leaverDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	for !c.revision.watches.listed() {
		again := time.NewTimer(leaverDelay)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return
		}
	}
	r := c.reconciler.Load()
	found := compose.FindLeavers(ctx, r, since)
	if !slices.ContainsFunc(left, func(s compose.Scope) bool { return !s.Done }) {
		more, err := compose.FindFinalizers(ctx, r)
		if err != nil && ctx.Err() == nil {
			c.controller.logger.Info("parents that have left with a finalizer cannot be looked for", telemetry.KeyReason, err.Error())
		}
		found = append(found, more...)
	}
	for _, key := range found {
		call(key)
	}
}
