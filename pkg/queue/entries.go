package queue

import "time"

// pending says whether, and when, a key is to be handed out (again).
type pending uint8

const (
	// idle: no call is asked for.
	idle pending = iota
	// delayed: the key is in the heap until its time has come.
	delayed
	// due: the key is ready, or it is processed and becomes ready when that ends.
	due
)

// entry is what the queue knows about one key. It exists while the key is pending or processed. A
// failing key always is, as its retry is pending, so no count of failures outlives its use.
//
// Times are durations since the queue was made: they take a third of the memory of a time.Time, and
// the wall clock does not move them.
type entry[K comparable] struct {
	key        K
	prev, next *entry[K]     // neighbours in the ready queue
	added      time.Duration // when the pending call became due: Waited counts from here
	since      time.Duration // when it became ready at its level: ageing counts from here
	readyAt    time.Duration // when it becomes due, while delayed
	index      int           // place in the heap, while delayed
	failures   int32         // calls that failed by themselves, in a row since the last Change
	putOffs    int32         // calls put off by RetryAlways, in the same row
	pending    pending
	level      Priority // the list of the ready queue that it is in
	priority   Priority // the most urgent add of the pending call
	processing bool
	dropped    bool // Drop was called while it was processed
	postponed  bool // the pending call has been handed out before, and the Observer informed
}

// forgive forgets the failed calls.
func (e *entry[K]) forgive() { e.failures, e.putOffs = 0, 0 }

const (
	// spareEntries bounds the entries kept for reuse; more would only serve bursts, which may
	// allocate.
	spareEntries = 256
	// shrinkAbove is the size from which a map or heap that has become mostly empty is made anew:
	// they never shrink by themselves.
	shrinkAbove = 1024
)

// entries finds entries by key.
type entries[K comparable] struct {
	byKey  map[K]*entry[K]
	peak   int
	spare  *entry[K] // linked by next
	spares int
}

func (t *entries[K]) find(key K) *entry[K] { return t.byKey[key] }

func (t *entries[K]) findOrCreate(key K) *entry[K] {
	if e := t.byKey[key]; e != nil {
		return e
	}
	e := t.spare
	if e != nil {
		t.spare, e.next = e.next, nil
		t.spares--
	} else {
		e = new(entry[K])
	}
	e.key = key
	if t.byKey == nil {
		t.byKey = make(map[K]*entry[K])
	}
	t.byKey[key] = e
	t.peak = max(t.peak, len(t.byKey))
	return e
}

func (t *entries[K]) remove(e *entry[K]) {
	delete(t.byKey, e.key)
	*e = entry[K]{}
	if t.spares < spareEntries {
		e.next, t.spare = t.spare, e
		t.spares++
	}
	if t.peak > shrinkAbove && len(t.byKey) < t.peak/8 {
		t.retain(func(*entry[K]) bool { return true })
	}
}

// retain drops all entries but those to keep, and the memory of a burst. After a burst it copies
// less than an eighth of what there was at the peak, so it costs little for each key that has gone
// since.
func (t *entries[K]) retain(keep func(*entry[K]) bool) {
	kept := make(map[K]*entry[K])
	for key, e := range t.byKey {
		if keep(e) {
			kept[key] = e
		}
	}
	t.byKey, t.peak = kept, len(kept)
}
