package election

import (
	"sync"
	"time"
)

// stopwatch adds up times between begin and end. It is safe for concurrent use.
type stopwatch struct {
	mu      sync.Mutex
	passed  time.Duration
	since   time.Duration
	running bool
}

// begin starts it, unless it runs.
func (s *stopwatch) begin(boot time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		s.running, s.since = true, boot
	}
}

// end stops it, if it runs.
func (s *stopwatch) end(boot time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		s.running = false
		s.passed += max(boot-s.since, 0)
	}
}

// total returns all times together, the present one included.
func (s *stopwatch) total(boot time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		return s.passed + max(boot-s.since, 0)
	}
	return s.passed
}
