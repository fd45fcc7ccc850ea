package queue

import "time"

const (
	// DefaultAgeingPeriod is the default of Options.AgeingPeriod. With it the least urgent key
	// takes turns with changes after a minute.
	DefaultAgeingPeriod = 15 * time.Second
	// DefaultBackoffInitial is the default of Backoff.Initial.
	DefaultBackoffInitial = 5 * time.Millisecond
	// DefaultBackoffMax is the default of Backoff.Max.
	DefaultBackoffMax = 5 * time.Minute
)

// Options are the settings of a Queue. The zero value is a queue with the default ageing that never
// retries.
type Options struct {
	// AgeingPeriod is how long a key waits before it counts as one priority more urgent than it was
	// added with, and again with each further period. An aged key takes turns with the keys of the
	// priority it has come to. So neither a stream of changes nor a large backlog of old keys can
	// hold up the other. 0 or less means DefaultAgeingPeriod.
	AgeingPeriod time.Duration
	// Backoff is how failed calls are retried.
	Backoff Backoff
	// Observer gets the events of the queue, for metrics. Default: none.
	Observer Observer
}

// Backoff is how failed calls of a key are retried: after Initial, and each further time after
// twice the last delay, up to Max. There is no jitter. Keys that fail together come back to a
// queue, where the number of workers bounds how many are tried at once, and exact delays can be
// tested.
type Backoff struct {
	// Initial is the delay before the first retry. 0 or less means DefaultBackoffInitial.
	Initial time.Duration
	// Max bounds every delay, Initial included. 0 or less means DefaultBackoffMax.
	Max time.Duration
	// MaxRetries is how many retries follow the first call of a key, or its call for a Change,
	// before the key is given up. 0 means none; a negative number means any number.
	MaxRetries int
}

// Delay returns how long to wait before the next call of a key after that many failed calls in a
// row; less than 1 counts as 1. It never overflows.
func (b Backoff) Delay(failures int) time.Duration {
	b = b.withDefaults()
	doublings := max(failures, 1) - 1
	if doublings >= 63 || b.Initial > b.Max>>doublings {
		return b.Max
	}
	return b.Initial << doublings
}

// fixed is b with one delay, unless that is 0.
func (b Backoff) fixed(delay time.Duration) Backoff {
	if delay > 0 {
		b.Initial, b.Max = delay, delay
	}
	return b
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

// Observer gets the events of a queue, for metrics. Its methods are called with the queue locked,
// so they come in the order of the events; they must return at once and must not call the queue.
type Observer interface {
	// Added is called for every Add, Requeue and Retry that asks for a call. With coalesced the key
	// was in the queue already, and this add makes no further call.
	Added(p Priority, coalesced bool)
	// Got is called for every key that is handed out, with Item.Waited; not again for one that was
	// postponed.
	Got(p Priority, waited time.Duration)
	// Depth is called with the number of ready keys whenever it has changed. Keys that are delayed,
	// and keys that were added while they are processed, are not ready.
	Depth(keys int)
}
