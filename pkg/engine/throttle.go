package engine

import (
	"context"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
)

// limits bound the calls of one definition. They outlive its terms.
type limits struct {
	rate  *rate   // nil: the definition sets none
	slots *client // of the semaphore that all definitions share; nil: there is none

	// How long workers have waited. A definition keeps these when its rate changes.
	rateWaits, slotWaits *waitTimer
}

func newLimits(r *rate, slots *client) *limits {
	return &limits{rate: r, slots: slots, rateWaits: &waitTimer{}, slotWaits: &waitTimer{}}
}

// withRate is the same with another rate.
func (l *limits) withRate(r *rate) *limits {
	changed := *l
	changed.rate = r
	return &changed
}

// throttledQueue hands out keys to one worker, within the definition's rate and the slots that all
// definitions share. Only the goroutine of that worker uses it.
//
// A token or a slot is never held without a key that is ready. The key handed out is the most
// urgent one when token and slot are both there, and not when the wait for them began. So a worker
// first reserves some key, then a token, then waits for a slot, and only then learns which key it
// is. The token is taken when the call begins.
type throttledQueue struct {
	queue  *queue.Queue[kube.Key]
	limits *limits
	slot   bool // held: from its grant until after the call
}

func (t *throttledQueue) limited() bool {
	return t.limits.rate != nil || t.limits.slots.limited()
}

// next hands out a key; commit or abort must follow. It returns false when ctx has ended or the
// queue is shut down, and then holds nothing.
func (t *throttledQueue) next(ctx context.Context) (queue.Item[kube.Key], bool) {
	for {
		if !t.limited() {
			t.releaseSlot()
			item, ok := t.queue.Get(ctx)
			if !ok || !t.limited() {
				return item, ok
			}
			// The number of calls was limited while no key was ready: this one needs a slot.
			t.queue.Postpone(item.Key, item.Priority, 0)
		}
		if !t.acquire(ctx) {
			return queue.Item[kube.Key]{}, false
		}
		item, ok := t.queue.Take()
		if ok {
			return item, true
		}
		t.abort() // The key has gone meanwhile.
	}
}

// commit follows next when the handler is about to be called: the token is taken. The slot is kept
// until after the call, when next gives it back or renews it.
func (t *throttledQueue) commit() { t.limits.rate.take() }

// abort follows next when there is no call.
func (t *throttledQueue) abort() {
	t.limits.rate.cancel()
	t.releaseSlot()
}

// acquire reserves a key and waits for what its call needs. When it returns false, it holds
// nothing.
func (t *throttledQueue) acquire(ctx context.Context) bool {
	q, l := t.queue, t.limits
	reserved := ctx.Err() == nil && q.TryReserve()
	hasToken := reserved && l.rate.tryReserve()
	if !hasToken {
		t.releaseSlot() // No call can begin now.
	}
	if !reserved && !q.Reserve(ctx) {
		return false
	}
	if !hasToken && !l.rateWaits.time(func() bool { return l.rate.reserve(ctx) }) {
		q.Cancel()
		return false
	}
	if l.slots.limited() && !l.slotWaits.time(func() bool { return t.acquireSlot(ctx) }) {
		l.rate.cancel()
		q.Cancel()
		return false
	}
	return true
}

func (t *throttledQueue) acquireSlot(ctx context.Context) bool {
	if t.slot {
		t.slot = t.limits.slots.renew(ctx)
	} else {
		t.slot = t.limits.slots.acquire(ctx)
	}
	return t.slot
}

func (t *throttledQueue) releaseSlot() {
	if t.slot {
		t.slot = false
		t.limits.slots.release()
	}
}
