package engine

import (
	"sync"
	"time"
)

// waitTimer sums up the time during which at least one of several goroutines waits. It may be read
// at any time.
type waitTimer struct {
	mu      sync.Mutex
	total   time.Duration
	waiting int
	since   time.Time // when the first of those waiting began
}

// time calls wait and counts how long it takes.
func (w *waitTimer) time(wait func() bool) bool {
	w.mu.Lock()
	if w.waiting++; w.waiting == 1 {
		w.since = time.Now()
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.waiting--; w.waiting == 0 {
			w.total += time.Since(w.since)
		}
	}()
	return wait()
}

// read returns the total, a wait that is under way included.
func (w *waitTimer) read() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == 0 {
		return w.total
	}
	return w.total + time.Since(w.since)
}

// waits reports whether somebody waits at this moment.
func (w *waitTimer) waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting > 0
}
