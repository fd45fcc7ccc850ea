package failover_test

import (
	"context"
	"sync"
	"time"
)

// stallDetector reports when the machine itself stood still, as one does whose cores are shared
// with others: then a limit in milliseconds says nothing about an elector.
type stallDetector struct {
	mu     sync.Mutex
	misses []miss
}

// miss is a beat that came too late.
type miss struct {
	due  time.Time
	late time.Duration
}

const (
	beat      = 10 * time.Millisecond
	tolerable = 30 * time.Millisecond
)

// run beats until ctx ends.
func (p *stallDetector) run(ctx context.Context) {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	for {
		due := time.Now().Add(beat)
		timer.Reset(beat)
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			if late := now.Sub(due); late > tolerable {
				p.mu.Lock()
				p.misses = append(p.misses, miss{due, late})
				p.mu.Unlock()
			}
		}
	}
}

// disturbed reports whether the machine stood still for a noticeable time between two moments.
func (p *stallDetector) disturbed(from, to time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.misses {
		if m.due.Before(to) && m.due.Add(m.late).After(from) {
			return true
		}
	}
	return false
}
