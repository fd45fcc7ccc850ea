package queue

import "time"

// pending is whether, and when, a key is to be handed out (again).
type pending uint8

const (
	// idle: nothing is asked for.
	idle pending = iota
	// delayed: the key is in the heap until its time has come, also while it is processed.
	delayed
	// due: the key is in a line of ready keys, or it is processed and joins a line when that ends.
	due
)

// entry is what the queue knows about one key. It exists while the key is pending or processed. A failing key is always
// one of the two, since its retry is pending, so no count of failures outlives its use.
//
// Times are durations since the queue was made: a third of the size of a time.Time, and no step of the wall clock moves
// them.
type entry[K comparable] struct {
	key        K
	prev, next *entry[K]     // neighbours in the line
	added      time.Duration // when the pending call became due: Waited counts from here
	since      time.Duration // when it joined its line: ageing counts from here
	readyAt    time.Duration // when it becomes due, while delayed
	index      int           // place in the heap, while delayed
	failures   int           // failed calls in a row, since the last Change
	pending    pending
	line       Priority // the line it stands in
	priority   Priority // the most urgent add of the pending call
	processing bool
	dropped    bool // Drop was called while it was processed
	postponed  bool // the pending call has been handed out before, and the Observer told
}

const (
	// spareEntries bounds the entries kept for reuse; more would only serve bursts, which may allocate.
	spareEntries = 256
	// shrinkAbove is the size from which a map that has become mostly empty is made anew: maps never shrink.
	shrinkAbove = 1024
)

// table finds entries by key.
type table[K comparable] struct {
	entries map[K]*entry[K]
	peak    int
	spare   *entry[K] // linked by next
	spares  int
}

func (t *table[K]) find(key K) *entry[K] { return t.entries[key] }

func (t *table[K]) findOrCreate(key K) *entry[K] {
	if e := t.entries[key]; e != nil {
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
	if t.entries == nil {
		t.entries = make(map[K]*entry[K])
	}
	t.entries[key] = e
	t.peak = max(t.peak, len(t.entries))
	return e
}

func (t *table[K]) remove(e *entry[K]) {
	delete(t.entries, e.key)
	*e = entry[K]{}
	if t.spares < spareEntries {
		e.next, t.spare = t.spare, e
		t.spares++
	}
	if t.peak > shrinkAbove && len(t.entries) < t.peak/8 {
		t.shrink()
	}
}

// shrink gives back the memory of a burst. It copies less than an eighth of what was there at the peak, so it costs
// little for each of the keys that have gone since.
func (t *table[K]) shrink() {
	t.retain(func(*entry[K]) bool { return true })
}

// retain drops all entries but those to keep, and the memory they used.
func (t *table[K]) retain(keep func(*entry[K]) bool) {
	kept := make(map[K]*entry[K])
	for key, e := range t.entries {
		if keep(e) {
			kept[key] = e
		}
	}
	t.entries, t.peak = kept, len(kept)
}
