package events

import (
	"slices"
	"time"
)

const (
	// firstDelay and lastDelay are between two tries.
	firstDelay = time.Second
	lastDelay  = 30 * time.Second
	// lifetime is after how long an event is not tried any more.
	lifetime = 5 * time.Minute
)

// retry is what is known of an entry whose last try has failed. It waits in its queue, and those
// that are due pass it.
type retry struct {
	since time.Time // of the first failure; zero when there was none
	delay time.Duration
	after time.Time // not before that
}

// queue has entries that are to be written, in the order in which they came.
type queue []*entry

// take takes the first entry out that is due. What has failed comes after what was not tried: it
// may take long to fail again. Where none is due, it returns when the next one is, or zero.
func (q *queue) take(now time.Time) (*entry, time.Time) {
	at, next := -1, time.Time{}
	for i, e := range *q {
		if e.again.since.IsZero() {
			at = i
			break
		}
		switch after := e.again.after; {
		case after.After(now):
			if next.IsZero() || after.Before(next) {
				next = after
			}
		case at < 0:
			at = i
		}
	}
	if at < 0 {
		return nil, next
	}
	e := (*q)[at]
	if e.queued = false; at == 0 { // Mostly. Nothing is moved.
		(*q)[0] = nil
		*q = (*q)[1:]
	} else {
		*q = slices.Delete(*q, at, at+1)
	}
	return e, time.Time{}
}

// putBack puts an entry back whose try has failed, and returns false when there were enough. One
// that was recorded again meanwhile is there already.
func (o *outbox) putBack(e *entry) bool {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return true // Nobody waits for it.
	}
	if e.again.since.IsZero() {
		e.again.since = now
	}
	delay := min(max(2*e.again.delay, firstDelay), lastDelay)
	if now.Add(delay).Sub(e.again.since) > lifetime {
		return false
	}
	e.again.delay, e.again.after = delay, now.Add(delay)
	if !e.queued {
		e.queued = true
		q := &o.queues[queueOf(e.event)]
		*q = append(*q, e) // There is one place more than maxQueued, for the one that is tried.
	}
	return true
}

// giveUp ends the tries for an entry that was not written. With forget, it is written as soon as it
// is recorded again.
func (o *outbox) giveUp(e *entry, why Drop, forget bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !e.queued && !e.there {
		o.dropped(why)
	}
	switch e.again = (retry{}); {
	case e.queued || !forget:
	case e.there: // It lacks the last count alone.
		e.due = time.Time{}
	case o.kept[e.event.Name] == e:
		delete(o.kept, e.event.Name)
		o.order = slices.DeleteFunc(o.order, func(kept *entry) bool { return kept == e })
	}
}

// awake wakes who waits for an entry, or is going to.
func awake(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default: // It is going to look.
	}
}
