package queue

import (
	"time"
)

// All methods in this file but onTimer need the queue to be locked by the caller.

func (q *Queue[K]) now() time.Duration { return time.Since(q.start) }

// add asks for a call of e after d, or merges with the one that is pending.
func (q *Queue[K]) add(e *entry[K], p Priority, d, now time.Duration) {
	coalesced := e.pending != idle
	if e.postponed { // What was handed out already loses nothing by what is less urgent.
		p = min(p, e.priority)
	}
	e.postponed = false
	q.ask(e, p, d, now)
	if q.observer != nil {
		q.observer.Added(p, coalesced)
	}
}

// postpone is add for a call that has been handed out before.
func (q *Queue[K]) postpone(e *entry[K], p Priority, d, now time.Duration) {
	if e.pending == due { // It was added while it was processed, and becomes ready now.
		e.priority = min(p, e.priority)
		return
	}
	e.postponed = true
	q.ask(e, p, d, now)
}

func (q *Queue[K]) ask(e *entry[K], p Priority, d, now time.Duration) {
	switch {
	case d <= 0:
		q.addDue(e, p, now)
	case e.pending == idle:
		e.priority, e.readyAt = p, after(now, d)
		q.delays.add(e)
		q.timer.schedule(q.delays.first().readyAt, now)
	}
}

func (q *Queue[K]) addDue(e *entry[K], p Priority, now time.Duration) {
	if e.pending == due {
		if p >= e.priority {
			return
		}
		e.priority = p
		if !e.processing {
			q.ready.raise(e, p, now)
		}
		return
	}
	if e.pending == delayed {
		q.delays.remove(e)
	}
	e.priority = p
	q.makeDue(e, now, now)
}

// makeDue turns an idle entry into one whose call is due since added.
func (q *Queue[K]) makeDue(e *entry[K], added, now time.Duration) {
	e.pending, e.added = due, added
	if !e.processing {
		q.makeReady(e, now)
	}
}

func (q *Queue[K]) makeReady(e *entry[K], now time.Duration) {
	q.ready.push(e, e.priority, now)
	q.depthChanged()
	q.waiters.wakeOne()
}

// promote makes due what was delayed until now or before.
func (q *Queue[K]) promote(now time.Duration) {
	for e := q.delays.first(); e != nil && e.readyAt <= now; e = q.delays.first() {
		q.delays.remove(e)
		q.makeDue(e, e.readyAt, now)
	}
}

// onTimer is called by the timer, without the lock.
func (q *Queue[K]) onTimer() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shutDown {
		return
	}
	q.timer.set = false
	now := q.now()
	q.promote(now)
	if first := q.delays.first(); first != nil {
		q.timer.schedule(first.readyAt, now)
	}
}

// processed returns the entry of a key that is being processed, else nil.
func (q *Queue[K]) processed(key K) *entry[K] {
	if e := q.entries.find(key); e != nil && e.processing {
		return e
	}
	return nil
}

// fail counts a failed call and asks for the next, if there is to be one.
func (q *Queue[K]) fail(e *entry[K], now time.Duration) (delay time.Duration, exhausted bool) {
	if e.pending == due {
		e.failures++
		return 0, false
	}
	if limit := q.backoff.MaxRetries; limit >= 0 && e.failures >= limit {
		e.failures = 0
		return 0, true
	}
	e.failures++
	delay = q.backoff.Delay(e.failures)
	q.add(e, Retry, delay, now)
	return delay, false
}

// finish ends the processing of e.
func (q *Queue[K]) finish(e *entry[K]) {
	e.processing, e.dropped = false, false
	if e.pending == due {
		q.makeReady(e, q.now())
	}
	q.release(e)
}

// cancel takes out what is pending for e.
func (q *Queue[K]) cancel(e *entry[K]) {
	switch {
	case e.pending == delayed:
		q.delays.remove(e)
	case e.pending == due && !e.processing:
		q.ready.remove(e)
		q.depthChanged()
	}
	e.pending = idle
}

// release forgets e, unless it is pending or processed.
func (q *Queue[K]) release(e *entry[K]) {
	if e.pending == idle && !e.processing {
		q.entries.remove(e)
	}
}

func (q *Queue[K]) depthChanged() {
	if q.observer != nil {
		q.observer.Depth(q.ready.len)
	}
}
