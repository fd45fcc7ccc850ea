package engine

import (
	"context"
	"time"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
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
// parent is to be looked at: it may have left the selectors.
func (c *composing) gone(e kube.Event) bool {
	if c == nil || e.Old() == nil || !selectionOf(c.revision.def.Watch).Selects() {
		return false
	}
	r := c.reconciler.Load()
	if r == nil {
		return false
	}
	r.Leavers.Note(e.Old())
	return true
}

// leaver returns a parent of that key that may have left.
func (c *composing) leaver(key kube.Key) (handlers.Object, bool) {
	if c == nil {
		return nil, false
	}
	if r := c.reconciler.Load(); r != nil {
		return r.Leavers.Get(key)
	}
	return nil, false
}

// findLeavers calls for parents that have left while nobody was there to see it.
func findLeavers(ctx context.Context, c *composing, call func(kube.Key)) {
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
	for _, key := range compose.FindLeavers(c.reconciler.Load()) {
		call(key)
	}
}
