package engine

import (
	"context"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
)

// What a revision has asked for, and has not begun, is handed over with the queue. A revision whose
// definition has a condition decides on it anew: `where` decides every call that its own handler
// has not asked for.

// asking asks for calls, until another revision takes over the queue: then that one decides. It is
// safe for concurrent use.
type asking struct {
	mu        sync.Mutex
	add       func(kube.Key, queue.Priority)
	inherited func(kube.Key, queue.Priority) // takes what an earlier revision has asked for
	passed    bool                           // another revision has taken over
}

// ask asks for a call on which the revision has decided.
func (a *asking) ask(key kube.Key, p queue.Priority) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(key, p)
}

func (a *asking) inherit(key kube.Key, p queue.Priority) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inherited(key, p)
}

// passTo lets next decide on all that is asked for from now on.
func (a *asking) passTo(next *asking) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add, a.inherited, a.passed = next.inherit, next.inherit, true
}

// postpone is Queue.Postpone for a call that has not begun. When another revision has taken over,
// it is asked for anew, unless it is a retry.
func (a *asking) postpone(q *queue.Queue[kube.Key], item queue.Item[kube.Key], after time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.passed || item.Attempt > 0 || item.Priority == queue.Retry || item.Priority == queue.Requeue {
		q.Postpone(item.Key, item.Priority, after)
		return
	}
	q.Done(item.Key)
	a.inherited(item.Key, item.Priority)
}

// inherit asks for a call that an earlier revision has asked for. The caller has locked asking.
//
// A parent that has left is to be looked at until its children are gone, whatever the condition
// says. The call may stand for the next look: the earlier revision has wanted the parent again, and
// a call that is due takes the place of one that is delayed.
func inherit(d *dispatcher, key kube.Key, p queue.Priority) {
	_, left := d.leaving.leaver(key)
	switch {
	case !decidesAnew(d, p):
		d.asking.add(key, p)
	case left:
		d.asking.add(key, queue.Change)
	default:
		d.filter.call(key, p)
	}
}

// decidesAnew reports whether what an earlier revision has asked for is asked for anew.
//
// A composer is called for parents that the condition leaves out, too: those that have left. It
// asks the condition itself. The first list is different, as all of it is asked for again. A change
// that was let through by what it has changed cannot be looked at again.
func decidesAnew(d *dispatcher, p queue.Priority) bool {
	switch {
	case d.filter == nil || !d.filter.matchesCalls():
		return false
	case p == queue.Initial:
		return true
	case d.revision.composing != nil:
		return false
	default:
		return p == queue.Resync || p == queue.Change && d.filter.selects()
	}
}

// takeOver decides on what previous has asked for in the queue of both, and no worker has begun.
func takeOver(d, previous *dispatcher) {
	if previous.queue != d.queue {
		return // Those were other objects.
	}
	previous.asking.passTo(&d.asking)
	for _, p := range []queue.Priority{queue.Initial, queue.Resync, queue.Change} {
		if !decidesAnew(d, p) {
			continue
		}
		for _, key := range queue.Withdraw(d.queue, p) {
			if _, left := d.leaving.leaver(key); left || p == queue.Change { // All others are asked for again.
				d.asking.inherit(key, p)
			}
		}
	}
}

// takeRefused takes an object for which the filter lets nothing call. If the condition leaves it
// out as it is, the object is no concern of the definition any more. A retry that its handler has
// asked for is made all the same, but nobody calls again for one that was given up, and nothing
// else would end its failure. What is asked for when the first list is decided on is the wish of
// another revision's handler, and is not done.
func takeRefused(ctx context.Context, d *dispatcher, obj handlers.Object, p pendingEvent) {
	d.asking.mu.Lock()
	defer d.asking.mu.Unlock()
	if d.asking.passed || !d.filter.selects() || ctx.Err() != nil {
		return // Another revision may have decided otherwise.
	}
	key := kube.Key{Namespace: obj.Namespace(), Name: obj.Name()}
	_, failed := d.revision.objects.failures.of(key)
	switch {
	case p.initial && d.revision.composing == nil:
		d.queue.Drop(key)
	case !failed || !isIdle(d.queue, key) || !p.called && !d.revision.predicate.excludes(ctx, obj):
		return
	}
	d.revision.objects.leftOut(key)
}

// isIdle reports whether a queue does nothing about a key, neither now nor later.
func isIdle(q *queue.Queue[kube.Key], key kube.Key) bool {
	state := queue.StateOf(q, key)
	return !state.Processing && !state.Ready && state.Delay == 0
}
