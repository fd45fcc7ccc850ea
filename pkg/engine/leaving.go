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
func selectionOf(watch config.Watch) compose.Selection {
	return compose.Selection{
		Kind: watch.Kind, Namespaces: watch.Namespaces, Labels: watch.LabelSelector, Fields: watch.FieldSelector,
	}
}

// gone takes the event of a parent that the source does not have any more. It reports whether the
// parent is to be looked at: it may have left the selectors. One that was being deleted, and needed
// nothing of us for that, is gone.
func (c *composing) gone(e kube.Event) bool {
	if c == nil || e.Old() == nil || !c.selection.Selects() {
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

// leaver returns a parent of that key that may have left.
func (c *composing) leaver(key kube.Key) (handlers.Object, bool) {
	if c == nil {
		return nil, false
	}
	return c.revision.objects.leavers.Get(key)
}

// findLeavers calls for parents that have left while nobody was there to see it. Of children that
// are older than since, it is not known what the file has said.
func findLeavers(ctx context.Context, c *composing, since time.Time, call func(kube.Key)) {
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
	found := compose.FindLeavers(r, since)
	more, err := compose.FindFinalizers(ctx, r)
	if err != nil && ctx.Err() == nil {
		c.controller.logger.Info("parents that have left with a finalizer cannot be looked for", telemetry.KeyReason, err.Error())
	}
	for _, key := range append(found, more...) {
		call(key)
	}
}
