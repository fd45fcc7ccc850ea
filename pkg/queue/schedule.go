package queue

import "time"

// schedule knows which keys are to be called and when. It moves them from delayed to ready, hands
// them out, and forgets those that nothing is asked for. It is not safe for concurrent use: Queue
// guards it.
type schedule[K comparable] struct {
	observer Observer
	start    time.Time

	entries entries[K]
	ready   readyQueue[K]
	delays  delayHeap[K]
	backlog backlog[K]
	timer   timer
	waiters waiters // woken as keys become ready
}

func (s *schedule[K]) now() time.Duration { return time.Since(s.start) }

// add asks for a call of e after d, or merges with the one that is pending.
func (s *schedule[K]) add(e *entry[K], p Priority, d, now time.Duration) {
	coalesced := e.pending != idle
	if e.postponed { // What was handed out already loses nothing by what is less urgent.
		p = min(p, e.priority)
	}
	e.postponed = false
	s.ask(e, p, d, now)
	if s.observer != nil {
		s.observer.Added(p, coalesced)
	}
}

// postpone is add for a call that has been handed out before.
func (s *schedule[K]) postpone(e *entry[K], p Priority, d, now time.Duration) {
	if e.pending == due { // It was added while it was processed, and becomes ready now.
		e.priority = min(p, e.priority)
		return
	}
	e.postponed = true
	s.ask(e, p, d, now)
}

func (s *schedule[K]) ask(e *entry[K], p Priority, d, now time.Duration) {
	switch {
	case d <= 0:
		s.addDue(e, p, now)
	case e.pending == idle:
		e.priority, e.readyAt = p, after(now, d)
		s.delays.add(e)
		s.timer.schedule(s.delays.first().readyAt, now)
	}
}

func (s *schedule[K]) addDue(e *entry[K], p Priority, now time.Duration) {
	if e.pending == due {
		if p >= e.priority {
			return
		}
		e.priority = p
		if !e.processing {
			s.ready.raise(e, p, now)
		}
		return
	}
	if e.pending == delayed {
		s.delays.remove(e)
	}
	e.priority = p
	s.makeDue(e, now, now)
}

// makeDue turns an idle entry into one whose call is due since added.
func (s *schedule[K]) makeDue(e *entry[K], added, now time.Duration) {
	e.pending, e.added = due, added
	if !e.processing {
		s.makeReady(e, now)
	}
}

func (s *schedule[K]) makeReady(e *entry[K], now time.Duration) {
	s.ready.push(e, e.priority, now)
	s.depthChanged()
	s.waiters.wakeOne()
}

// promote makes due what was delayed until now or before.
func (s *schedule[K]) promote(now time.Duration) {
	for e := s.delays.first(); e != nil && e.readyAt <= now; e = s.delays.first() {
		s.delays.remove(e)
		s.makeDue(e, e.readyAt, now)
	}
}

// onTimer does what the timer was set for, and sets it for what is still delayed.
func (s *schedule[K]) onTimer() {
	s.timer.set = false
	now := s.now()
	s.promote(now)
	if first := s.delays.first(); first != nil {
		s.timer.schedule(first.readyAt, now)
	}
}

// handOut begins the processing of e.
func (s *schedule[K]) handOut(e *entry[K], now time.Duration) Item[K] {
	e.pending, e.processing = idle, true
	if e.priority == Change {
		e.forgive()
	}
	item := Item[K]{
		Key: e.key, Priority: e.priority, Attempt: int(e.failures) + int(e.putOffs), PutOffs: int(e.putOffs), Waited: now - e.added,
	}
	s.depthChanged()
	if s.observer != nil && !e.postponed {
		s.observer.Got(item.Priority, item.Waited)
	}
	e.postponed = false
	return item
}

// processed returns the entry of a key that is being processed, else nil.
func (s *schedule[K]) processed(key K) *entry[K] {
	if e := s.entries.find(key); e != nil && e.processing {
		return e
	}
	return nil
}

// failed ends the processing of a key with a failure, which count counts. When the queue is shut
// down, no further call is asked for.
func (s *schedule[K]) failed(
	key K, b Backoff, count func(*schedule[K], *entry[K], Backoff) (time.Duration, bool), shutDown bool,
) (delay time.Duration, exhausted bool) {
	e := s.processed(key)
	if e == nil {
		return 0, false
	}
	if !e.dropped && !shutDown {
		delay, exhausted = count(s, e, b)
	}
	s.finish(e)
	return delay, exhausted
}

// fail counts a failed call of e and asks for the next, if there is to be one.
func (s *schedule[K]) fail(e *entry[K], b Backoff) (delay time.Duration, exhausted bool) {
	if e.pending == due {
		e.failures++
		return 0, false
	}
	if limit := b.MaxRetries; limit >= 0 && int(e.failures) >= limit {
		e.forgive()
		return 0, true
	}
	e.failures++
	delay = b.Delay(int(e.failures))
	s.add(e, Retry, delay, s.now())
	return delay, false
}

// putOff counts a call of e that was not possible and asks for the next.
func (s *schedule[K]) putOff(e *entry[K], b Backoff) (delay time.Duration, _ bool) {
	e.putOffs++
	if e.pending == due {
		return 0, false
	}
	delay = b.Delay(int(e.putOffs))
	s.add(e, Retry, delay, s.now())
	return delay, false
}

// finish ends the processing of e.
func (s *schedule[K]) finish(e *entry[K]) {
	e.processing, e.dropped = false, false
	if e.pending == due {
		s.makeReady(e, s.now())
	}
	s.release(e)
}

// cancel takes out what is pending for e.
func (s *schedule[K]) cancel(e *entry[K]) {
	switch {
	case e.pending == delayed:
		s.delays.remove(e)
	case e.pending == due && !e.processing:
		s.ready.remove(e)
		s.depthChanged()
	}
	e.pending = idle
}

// release forgets e, unless it is pending or processed.
func (s *schedule[K]) release(e *entry[K]) {
	if e.pending == idle && !e.processing {
		s.entries.remove(e)
	}
}

func (s *schedule[K]) depthChanged() {
	if s.observer != nil {
		s.observer.Depth(depth(s))
	}
}

// depth is how many keys are ready, or are made ready in their turn.
func depth[K comparable](s *schedule[K]) int { return s.ready.len + len(s.backlog.keys) }

// clear drops all that is asked for. What is being processed remains until it is finished.
func (s *schedule[K]) clear() {
	s.timer.stop()
	s.delays = nil
	if waiting := s.backlog.clear(); s.ready.clear() || waiting {
		s.depthChanged()
	}
	s.entries.retain(func(e *entry[K]) bool {
		e.pending = idle
		return e.processing
	})
}
