package queue

import (
	"context"
	"time"
)

// A reservation entitles its holder to some ready key, without naming it. Reserve when you also
// need something else for a call, such as a token: ask for that only once there is a key to handle,
// and then Take the key that is most urgent at that moment. There are never more reservations than
// ready keys when one is made. Each ends with Take or Cancel.

// Reserve waits for a ready key that is not reserved. It returns false when ctx has ended or
// ShutDown has been called.
func (q *Queue[K]) Reserve(ctx context.Context) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, ok := q.reserve(ctx)
	return ok
}

// TryReserve is Reserve without the wait.
func (q *Queue[K]) TryReserve() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, ok := q.tryReserve()
	return ok
}

// Take ends a reservation and hands out the most urgent key, as Get does. It returns false when
// there is none any more: the key has been dropped, or ShutDown has been called.
func (q *Queue[K]) Take() (Item[K], bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.schedule.now()
	q.schedule.promote(now)
	return q.take(now)
}

// Cancel ends a reservation without a key.
func (q *Queue[K]) Cancel() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reserved--
	q.wake()
}

// Get is Reserve and Take: it waits for a key that is ready and not reserved, and hands it out. The
// caller must end it with exactly one of Done, Requeue, Retry and Postpone. The most urgent key
// comes first, after ageing, and within one priority the one that came first. Get returns false
// when ctx has ended or ShutDown has been called, even if keys are ready.
func (q *Queue[K]) Get(ctx context.Context) (Item[K], bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now, ok := q.reserve(ctx)
	if !ok {
		return Item[K]{}, false
	}
	return q.take(now)
}

// reserve, like the rest of this file, needs the queue to be locked by the caller. It returns the
// time of the reservation.
func (q *Queue[K]) reserve(ctx context.Context) (time.Duration, bool) {
	for !q.shutDown {
		if ctx.Err() != nil {
			q.wake() // The wake-up may have been for this call.
			return 0, false
		}
		if now, ok := q.tryReserve(); ok {
			return now, true
		}
		q.wait(ctx)
	}
	return 0, false
}

func (q *Queue[K]) tryReserve() (time.Duration, bool) {
	if q.shutDown {
		return 0, false
	}
	now := q.schedule.now()
	q.schedule.promote(now)
	q.schedule.fill(q.reserved)
	if q.schedule.ready.len <= q.reserved {
		return 0, false
	}
	q.reserved++
	return now, true
}

func (q *Queue[K]) take(now time.Duration) (Item[K], bool) {
	q.reserved--
	if q.shutDown {
		return Item[K]{}, false
	}
	e := q.schedule.ready.pop(now)
	if e == nil {
		return Item[K]{}, false
	}
	return q.schedule.handOut(e, now), true
}

// wait unlocks the queue until there may be a key for this call, or ctx has ended.
func (q *Queue[K]) wait(ctx context.Context) {
	w := q.schedule.waiters.join()
	q.mu.Unlock()
	select {
	case <-w:
	case <-ctx.Done():
	}
	q.mu.Lock()
	q.schedule.waiters.leave(w)
}

// wake passes a wake-up on that was not used.
func (q *Queue[K]) wake() {
	if q.schedule.ready.len > q.reserved {
		q.schedule.waiters.wakeOne()
	}
}
