package engine

import (
	"sync"
	"time"
)

// stopwatch sums up the time during which at least one of several goroutines waits for something. It may be read at any time.
type stopwatch struct {
	mu      sync.Mutex
	total   time.Duration
	waiting int
	since   time.Time // when the first of those waiting began
}

// time calls wait and counts how long it takes.
func (s *stopwatch) time(wait func() bool) bool {
	s.mu.Lock()
	if s.waiting++; s.waiting == 1 {
		s.since = time.Now()
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.waiting--; s.waiting == 0 {
			s.total += time.Since(s.since)
		}
	}()
	return wait()
}

// read returns the total, what is under way included.
func (s *stopwatch) read() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == 0 {
		return s.total
	}
	return s.total + time.Since(s.since)
}
