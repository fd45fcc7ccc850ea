package engine

import (
	"context"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
)

// limits are those of one definition; they outlive its terms. Each is nil where the config sets none.
type limits struct {
	rate  *rate
	share *share

	byRate, bySlots stopwatch
}

// intake is how one worker comes by its next object, within the definition's rate and the engine's slots. It is for the
// goroutine of that worker alone.
//
// It sees to it that nobody has a token or a slot without an object to handle, and that what is handled is what is most urgent
// when both are there, not when the wait for them began. So a worker first claims some object, then reserves a token, then
// waits for a slot, and only then learns which object it is. The token is taken as the call begins.
type intake struct {
	queue  *queue.Queue[kube.Key]
	limits *limits
	slot   bool // whether it has one: from its grant until after the call
}

func (in *intake) limited() bool { return in.limits.rate != nil || in.limits.share != nil }

// take hands out the next object; settle must follow. It returns false when ctx has ended or the queue is shut down, and
// then holds nothing any more.
func (in *intake) take(ctx context.Context) (queue.Item[kube.Key], bool) {
	if !in.limited() {
		return in.queue.Get(ctx)
	}
	for in.permitted(ctx) {
		item, ok := in.queue.Take()
		if ok {
			return item, true
		}
		in.settle(false) // The object has gone meanwhile.
	}
	return queue.Item[kube.Key]{}, false
}

// settle follows take, with whether the handler is going to be called for the object: only that takes a token and keeps the
// slot. The slot is kept until after the call, when the next take gives it back, or gets it anew.
func (in *intake) settle(used bool) {
	if used {
		in.limits.rate.take()
		return
	}
	in.limits.rate.cancel()
	in.dropSlot()
}

// permitted claims an object and waits for what its call needs. It returns false, and holds nothing, when that is not to be.
func (in *intake) permitted(ctx context.Context) bool {
	q, l := in.queue, in.limits
	claimed := ctx.Err() == nil && q.TryReserve()
	reserved := claimed && l.rate.tryReserve()
	if !reserved {
		in.dropSlot() // There is no call to make at once.
	}
	if !claimed && !q.Reserve(ctx) {
		return false
	}
	if !reserved && !l.byRate.time(func() bool { return l.rate.reserve(ctx) }) {
		q.Cancel()
		return false
	}
	if l.share != nil && !l.bySlots.time(func() bool { return in.takeSlot(ctx) }) {
		l.rate.cancel()
		q.Cancel()
		return false
	}
	return true
}

func (in *intake) takeSlot(ctx context.Context) bool {
	if in.slot {
		in.slot = in.limits.share.renew(ctx)
		return in.slot
	}
	in.slot = in.limits.share.acquire(ctx)
	return in.slot
}

func (in *intake) dropSlot() {
	if in.slot {
		in.slot = false
		in.limits.share.release()
	}
}
