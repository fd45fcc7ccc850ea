package failover_test

import (
	"context"
	"sync"
	"testing"
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

// stood returns for how long the machine stood still between two moments.
func (p *stallDetector) stood(from, to time.Time) (sum time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.misses {
		begin, end := m.due, m.due.Add(m.late)
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		sum += max(end.Sub(begin), 0)
	}
	return sum
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

// TestStood counts of each stall what lies between the two moments.
func TestStood(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	p := &stallDetector{misses: []miss{{at(100), 50 * time.Millisecond}, {at(200), 100 * time.Millisecond}, {at(400), 200 * time.Millisecond}}}
	for _, c := range []struct{ from, to, want int }{
		{0, 1000, 350},
		{120, 450, 30 + 100 + 50},
		{220, 230, 10},
		{300, 400, 0},
		{700, 800, 0},
		{450, 120, 0}, // The process ended first.
	} {
		if got := p.stood(at(c.from), at(c.to)); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("from %d to %d ms it stood still for %s, want %d ms", c.from, c.to, got, c.want)
		}
	}
}
