package queue

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"
)

const (
	// resyncTick is the least time between two wake-ups of a Resyncer: keys that fall due within it
	// go together.
	resyncTick = 100 * time.Millisecond
	// resyncWindows is how often in a period a Resyncer lists the keys. More windows mean fresher
	// lists and less memory for the keys to come, but more passes over all keys.
	resyncWindows = 16
)

// Resyncer calls Due for every key once per period, each key at its phase (Spread) of the period,
// so that the work is even. Periods are counted from the Unix epoch: a key keeps its time over
// restarts.
//
// It lists the keys up to 16 times per period, sorts those of the coming part of it, and sleeps
// until the next is due. It keeps nothing of the other keys, and wakes at most ten times per
// second. All fields but Period are required.
type Resyncer[K any] struct {
	// Period is the time between two calls of Due for one key. 0 or less means that there are none.
	Period time.Duration
	// Keys lists the keys there are. It is called from Run, up to 16 times per period.
	Keys func() iter.Seq[K]
	// Hash decides on the phase of a key and must be even and stable: see the function Hash.
	Hash func(K) uint64
	// Due is called from Run with each key when its time has come; as a rule it is Queue.Add at
	// Resync. A key that has gone since it was listed may still come. It should return soon: what
	// is late is made up for, but a Resyncer that falls behind by more than a period makes up for
	// the last one only.
	Due func(K)
}

// Run calls Due until ctx ends; the caller owns its goroutine. The wall clock is read once: steps
// that it makes later do not count.
func (r Resyncer[K]) Run(ctx context.Context) {
	if r.Period <= 0 {
		return
	}
	start := time.Now()
	offset := time.Duration(start.UnixNano() % int64(r.Period))
	run := resyncRun[K]{Resyncer: r, elapsed: func() time.Duration { return offset + time.Since(start) }}
	for window, from := run.windowAt(offset), offset; run.window(ctx, window, from); from = 0 {
		// A run that is behind by more than a period, say after a suspension, goes on with the last
		// one.
		window = max(window, run.windowAt(run.elapsed()-r.Period)) + 1
	}
}

// resyncRun is one run of a Resyncer. Its times count from the start of a period, and its windows
// are numbered from there.
type resyncRun[K any] struct {
	Resyncer[K]
	elapsed func() time.Duration
}

// dueKey is a key and the time it is due.
type dueKey[K any] struct {
	key K
	at  time.Duration
}

// windows returns how many windows a period has: none is shorter than a tick, if it can be helped.
func (r *resyncRun[K]) windows() int {
	return int(min(max(r.Period/resyncTick, 1), resyncWindows))
}

// windowAt returns the window that contains at, and -1 for what was before the first.
func (r *resyncRun[K]) windowAt(at time.Duration) int {
	if at < 0 {
		return -1
	}
	n := r.windows()
	length := r.Period / time.Duration(n)
	return int(at/r.Period)*n + min(int(at%r.Period/length), n-1)
}

// bounds returns the start of the period of a window, and the phases at which the window begins and
// before which it ends. The last window of a period has what the division by their number leaves.
func (r *resyncRun[K]) bounds(window int) (base, from, to time.Duration) {
	n := r.windows()
	length := r.Period / time.Duration(n)
	base, from = time.Duration(window/n)*r.Period, time.Duration(window%n)*length
	if window%n == n-1 {
		return base, from, r.Period
	}
	return base, from, from + length
}

// window calls Due for the keys that are due in a window, but not before notBefore. It returns at
// the end of the window, or with false when ctx has ended.
func (r *resyncRun[K]) window(ctx context.Context, window int, notBefore time.Duration) bool {
	base, _, to := r.bounds(window)
	for _, key := range r.list(window, notBefore) {
		if !r.sleepUntil(ctx, key.at) {
			return false
		}
		r.Due(key.key)
	}
	return r.sleepUntil(ctx, base+to)
}

// list returns the keys that are due in a window, but not before notBefore, in the order of their
// times.
func (r *resyncRun[K]) list(window int, notBefore time.Duration) []dueKey[K] {
	base, from, to := r.bounds(window)
	var keys []dueKey[K]
	for key := range r.Keys() {
		phase := Spread(r.Hash(key), r.Period)
		if phase >= from && phase < to && base+phase >= notBefore {
			keys = append(keys, dueKey[K]{key: key, at: base + phase})
		}
	}
	slices.SortFunc(keys, func(a, b dueKey[K]) int { return cmp.Compare(a.at, b.at) })
	return keys
}

// sleepUntil returns at once if at has come, else after at least a tick, which bounds the wake-ups.
// It returns false when ctx has ended.
func (r *resyncRun[K]) sleepUntil(ctx context.Context, at time.Duration) bool {
	left := at - r.elapsed()
	if left <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(max(left, resyncTick))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
