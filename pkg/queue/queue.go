package queue

import (
	"sync"
	"time"
)

// Queue is a work queue of keys, each of which stands in it at most once. It is safe for concurrent
// use. It has no goroutine, but one timer while keys are delayed, which ShutDown stops.
type Queue[K comparable] struct {
	mu       sync.Mutex // guards all below
	schedule schedule[K]
	backoff  Backoff
	reserved int
	shutDown bool
}

// Item is a key that has been handed out.
type Item[K comparable] struct {
	// Key is the key.
	Key K
	// Priority is the most urgent one with which the key was added for this call.
	Priority Priority
	// Attempt counts the failed calls of the key in a row before this one, since its last Change: 0
	// on a first try and for a Change. A call with a larger one is a retry, whatever its Priority.
	Attempt int
	// PutOffs counts those among Attempt that ended with RetryAlways. They use up no retries.
	PutOffs int
	// Waited is the time since the first add that this call answers, or, if that was delayed, since
	// it became due. It includes the time the key was still processed for an earlier call.
	Waited time.Duration
}

// New returns an empty queue.
func New[K comparable](o Options) *Queue[K] {
	if o.AgeingPeriod <= 0 {
		o.AgeingPeriod = DefaultAgeingPeriod
	}
	q := &Queue[K]{
		schedule: schedule[K]{observer: o.Observer, start: time.Now()},
		backoff:  o.Backoff.withDefaults(),
	}
	q.schedule.ready.ageing = o.AgeingPeriod
	q.schedule.timer.fire = q.onTimer
	return q
}

// Add asks for a call of key as soon as its turn comes. If such a call is pending already, the more
// urgent of the two priorities holds, and the wait still counts from the first add. If a delayed
// call is pending, this one replaces it. If key is being processed, it is handed out again after
// that. After ShutDown nothing is added.
func (q *Queue[K]) Add(key K, p Priority) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shutDown {
		return
	}
	now := q.schedule.now()
	q.schedule.promote(now)
	q.schedule.backlog.skip(key)
	q.schedule.add(q.schedule.entries.findOrCreate(key), p.valid(), 0, now)
}

// AddAll is Add with priority Initial for many keys, in their order, and takes far less memory. A
// key that is added again before its turn comes is not called for a second time. The caller must
// not change keys any more. Of a second AddAll, keys replace those of the first one whose turn has
// not come.
func (q *Queue[K]) AddAll(keys []K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shutDown {
		return
	}
	now := q.schedule.now()
	q.schedule.promote(now)
	q.schedule.backlog.start(keys, now)
	for key, e := range q.schedule.entries.byKey {
		if e.pending == due {
			q.schedule.backlog.skip(key)
		}
	}
	q.schedule.fill(q.reserved)
	q.schedule.depthChanged()
}

// Done ends the processing of key with success, or in a way that a retry cannot mend: its failed
// calls are forgotten. Done, Requeue, Retry and Postpone do nothing for a key that is not being
// processed.
func (q *Queue[K]) Done(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.schedule.processed(key); e != nil {
		e.forgive()
		q.schedule.finish(e)
	}
}

// Requeue ends the processing of key with success, as Done does, and asks for a call after d,
// unless key is called for another reason before.
func (q *Queue[K]) Requeue(key K, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.schedule.processed(key)
	if e == nil {
		return
	}
	e.forgive()
	if !e.dropped && !q.shutDown {
		q.schedule.add(e, Requeue, d, q.schedule.now())
	}
	q.schedule.finish(e)
}

// Retry ends the processing of key with a failure and asks for a call after the time given, or if
// that is 0 after the backoff. It returns the delay. If the key has used up Backoff.MaxRetries,
// exhausted is true, nothing more is asked for, and its failed calls are forgotten.
//
// A call that is due already is made instead, without the backoff. Then Retry asks for nothing and
// returns zeros, as it does after Drop or ShutDown.
//
// Delay and retries count the failed calls in a row. A Change starts both anew: what failed before
// may not be what fails now, and it replaces the waiting retry. Any other call that comes before
// the retry replaces it too, but counts as one.
func (q *Queue[K]) Retry(key K, after time.Duration) (delay time.Duration, exhausted bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.schedule.failed(key, q.backoff.fixed(after), (*schedule[K]).fail, q.shutDown)
}

// RetryAlways schedules a retry for a failure that is not the key's own, such as a server that is
// down. It has a backoff of its own, and uses up no retry of the key.
func RetryAlways[K comparable](q *Queue[K], key K, after time.Duration) (delay time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delay, _ = q.schedule.failed(key, q.backoff.fixed(after), (*schedule[K]).putOff, q.shutDown)
	return delay
}

// Postpone ends the processing of key as if it had not begun, because it cannot be handled yet. It
// counts as neither a success nor a failure, and the Observer does not hear of it. The call is made
// after d, or with whatever else comes for the key before that, with at least priority p.
func (q *Queue[K]) Postpone(key K, p Priority, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.schedule.processed(key)
	if e == nil {
		return
	}
	if !e.dropped && !q.shutDown {
		q.schedule.postpone(e, p.valid(), d, q.schedule.now())
	}
	q.schedule.finish(e)
}

// Drop forgets key, whose object is gone: what is pending is taken out, failed calls are forgotten.
// If key is being processed, that call does not come back by Retry or Requeue. A key that is added
// after Drop is handed out as usual.
func (q *Queue[K]) Drop(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.schedule.backlog.skip(key)
	defer q.schedule.fill(q.reserved) // Many may go at once, and nobody else may ask for a key then.
	e := q.schedule.entries.find(key)
	if e == nil {
		return
	}
	q.schedule.cancel(e)
	e.forgive()
	e.dropped = e.processing
	q.schedule.release(e)
}

// SetBackoff changes how calls that fail from now on are retried. Retries that are waiting keep
// their delay.
func (q *Queue[K]) SetBackoff(b Backoff) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.backoff = b.withDefaults()
}

// ShutDown ends the queue: what is pending is dropped, Get and Reserve return false, and nothing
// can be added. Keys that are being processed may finish; the owner of the workers waits for them.
// ShutDown may be called more than once.
func (q *Queue[K]) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shutDown {
		return
	}
	q.shutDown = true
	q.schedule.clear()
	q.schedule.waiters.wakeAll()
}

// onTimer is called by the timer, without the lock.
func (q *Queue[K]) onTimer() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.shutDown {
		q.schedule.onTimer()
	}
}
