package queue

import "time"

// The defaults of Options.
const (
	// DefaultAgeingPeriod lets the least urgent key take turns with changes after a minute.
	DefaultAgeingPeriod = 15 * time.Second
	// DefaultBackoffInitial is the delay before the first retry.
	DefaultBackoffInitial = 5 * time.Millisecond
	// DefaultBackoffMax is the longest delay before a retry.
	DefaultBackoffMax = 5 * time.Minute
)

// Options are the settings of a Queue. The zero value is a queue with the default ageing that never retries.
type Options struct {
	// AgeingPeriod is how long a key waits before it counts as one class more urgent than it was added, and so on with
	// each further period. An aged key takes turns with the keys of the class it has come to, so that neither a stream
	// of changes nor a large backlog of old keys can hold up the other. 0 or less means DefaultAgeingPeriod.
	AgeingPeriod time.Duration
	// Backoff is how failed calls are retried.
	Backoff Backoff
	// Observer is told what happens in the queue; nil means nobody is.
	Observer Observer
}

// Backoff is how the calls of a key that failed are retried: after Initial, and after twice the last delay each further
// time, up to Max. There is no jitter: the herd of keys that fail together comes back to a queue, where the number of
// workers bounds how many are tried at once, and exact delays can be documented and tested.
type Backoff struct {
	// Initial is the delay before the first retry. 0 or less means DefaultBackoffInitial.
	Initial time.Duration
	// Max bounds every delay, Initial included. 0 or less means DefaultBackoffMax.
	Max time.Duration
	// MaxRetries is how many retries follow the first call of a key, or its call for a change, before the key is given
	// up. 0 means none; a negative number means any number.
	MaxRetries int
}

// Delay returns how long to wait before the next call of a key with so many failed calls in a row; less than 1 counts
// as 1. It never overflows.
func (b Backoff) Delay(failures int) time.Duration {
	b = b.withDefaults()
	doublings := max(failures, 1) - 1
	if doublings >= 63 || b.Initial > b.Max>>doublings {
		return b.Max
	}
	return b.Initial << doublings
}

func (b Backoff) withDefaults() Backoff {
	if b.Initial <= 0 {
		b.Initial = DefaultBackoffInitial
	}
	if b.Max <= 0 {
		b.Max = DefaultBackoffMax
	}
	return b
}

// Observer is told what happens in a queue, for metrics. Its methods are called with the queue locked, so they come in
// the order of the events; they must return at once and must not call the queue.
type Observer interface {
	// Added is called for every Add, AddAfter, Requeue and Retry that asks for a call. Coalesced tells that the key
	// stood in the queue already, so that no call more is made for this add.
	Added(p Priority, coalesced bool)
	// Got is called for every key that is handed out, with the time it has waited, as in Item; for one that was postponed not
	// again.
	Got(p Priority, waited time.Duration)
	// Depth is called with the number of keys that Len counts whenever it has changed.
	Depth(keys int)
}
