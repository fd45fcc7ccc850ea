package queue

import (
	"context"
	"sync"
	"time"
)

// Queue is a work queue of keys, each of which stands in it at most once. All its methods may be called from several
// goroutines at a time. It has no goroutine of its own, but one timer while keys are delayed, which ShutDown stops.
type Queue[K comparable] struct {
	backoff  Backoff
	observer Observer
	start    time.Time

	mu         sync.Mutex
	table      table[K]
	ready      lines[K]
	delays     delays[K]
	alarm      alarm
	waiters    waiters
	processing int
	claims     int
	shutDown   bool
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
	// Waited is the time since the first add that this call answers, or, if that was delayed, since it became due. It
	// includes the time the key was still processed for an earlier call.
	Waited time.Duration
}

// New returns an empty queue.
func New[K comparable](o Options) *Queue[K] {
	if o.AgeingPeriod <= 0 {
		o.AgeingPeriod = DefaultAgeingPeriod
	}
	q := &Queue[K]{backoff: o.Backoff.withDefaults(), observer: o.Observer, start: time.Now()}
	q.ready.ageing = o.AgeingPeriod
	q.alarm.fire = q.onAlarm
	return q
}

// Add asks for a call of key as soon as its turn comes. If such a call is pending already, the more urgent of the two
// priorities holds and the wait goes on counting from the first. If a delayed call is pending, this one takes it over:
// it is made now, with this priority, and the delayed one is not made any more. If key is being processed, it is handed
// out again after that. After ShutDown nothing is added.
//
// Adding does not touch the count of failed calls, but see Retry for what a Change does.
func (q *Queue[K]) Add(key K, p Priority) {
	q.AddAfter(key, p, 0)
}

// AddAfter asks for a call of key when d has passed; with 0 or less it is Add. If a call is pending, the one that is
// due first is made, with its own priority, and the other is not; of two that are due together the more urgent holds.
// The time passes while key is being processed, too.
func (q *Queue[K]) AddAfter(key K, p Priority, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shutDown {
		return
	}
	now := q.now()
	q.promote(now)
	q.add(q.table.findOrCreate(key), p.valid(), d, now)
}

// Get waits for a key that is ready and not being processed, and hands it out: the caller must end with exactly one of
// Done, Requeue, Retry and Postpone. The most urgent key comes first, after ageing, and within one class the one that came first.
// It returns false when ctx has ended or ShutDown has been called, also if keys are ready.
func (q *Queue[K]) Get(ctx context.Context) (Item[K], bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.shutDown {
			return Item[K]{}, false
		}
		if ctx.Err() != nil {
			// The wake-up may have been for this Get, which does not take the key.
			q.wake()
			return Item[K]{}, false
		}
		if item, ok := q.take(); ok {
			return item, true
		}
		q.wait(ctx)
	}
}

// Done ends the processing of key with success, or in a way that a retry cannot mend: its failed calls are forgotten. A
// key that is not being processed is left alone; so it is by Requeue, Retry and Postpone.
func (q *Queue[K]) Done(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.processed(key); e != nil {
		e.failures = 0
		q.finish(e)
	}
}

// Requeue ends the processing of key with success, as Done does, and asks for a call after d, unless key is called for
// another reason before.
func (q *Queue[K]) Requeue(key K, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.processed(key)
	if e == nil {
		return
	}
	e.failures = 0
	if !e.dropped && !q.shutDown {
		q.add(e, Requeue, d, q.now())
	}
	q.finish(e)
}

// Retry ends the processing of key with a failure and asks for a call after the backoff, which it
// returns. If the key has used up Backoff.MaxRetries, exhausted is true, nothing more is asked for,
// and its failed calls are forgotten.
//
// A call that is due already is made instead, without the backoff. Then Retry asks for nothing and
// returns zeros, as it does after Drop or ShutDown.
//
// Delay and retries count the failed calls in a row. A Change starts both anew: what failed before
// may not be what fails now, and it takes the waiting retry over. Any other call that comes before
// the retry takes it over too, but counts as one.
func (q *Queue[K]) Retry(key K) (delay time.Duration, exhausted bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.processed(key)
	if e == nil {
		return 0, false
	}
	if !e.dropped && !q.shutDown {
		delay, exhausted = q.fail(e, q.now())
	}
	q.finish(e)
	return delay, exhausted
}

// Postpone ends the processing of key as if it had not begun, because it cannot be handled yet: it counts as neither a success
// nor a failure, and the Observer is not told. The call is asked for again after d, or with whatever else comes for the key before
// that, and in either case with no less than its priority.
func (q *Queue[K]) Postpone(key K, p Priority, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.processed(key)
	if e == nil {
		return
	}
	if !e.dropped && !q.shutDown {
		q.postpone(e, p.valid(), d, q.now())
	}
	q.finish(e)
}

// Drop forgets key, whose object is gone: what is pending is taken out, failed calls are forgotten. If key is being
// processed, that call does not come back by Retry or Requeue. What is added after Drop is handed out as ever.
func (q *Queue[K]) Drop(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.table.find(key)
	if e == nil {
		return
	}
	q.cancel(e)
	e.failures = 0
	e.dropped = e.processing
	q.release(e)
}

// ShutDown ends the queue: what is pending is dropped, every Get returns false, and nothing can be added. Keys that are
// being processed may finish; whoever started the workers waits for them. ShutDown may be called more than once.
func (q *Queue[K]) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shutDown {
		return
	}
	q.shutDown = true
	q.alarm.stop()
	q.delays.heap = nil
	if q.ready.clear() {
		q.depthChanged()
	}
	q.table.retain(func(e *entry[K]) bool {
		e.pending = idle
		return e.processing
	})
	q.waiters.wakeAll()
}
