package engine

import (
	"context"
	"math"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/config"
)

// rate bounds how often a definition calls its handler. It is a bucket of up to burst tokens that
// gets one more each interval; each call takes one. A token is reserved first, and taken when the
// call begins. golang.org/x/time/rate takes the token with the reservation, so calls that then wait
// for a slot would pile up and begin together, more than burst of them at once. A nil rate bounds
// nothing.
type rate struct {
	interval time.Duration // between two tokens
	burst    int
	turn     chan struct{} // holds a value while no worker waits for a token
	changed  chan struct{} // holds a note that a reservation has ended

	mu       sync.Mutex
	full     time.Time // when the bucket is full again
	reserved int
}

// newRate returns nil for the zero Rate.
func newRate(r config.Rate) *rate {
	if r.PerSecond <= 0 {
		return nil
	}
	interval := time.Duration(math.Ceil(float64(time.Second) / r.PerSecond))
	made := &rate{interval: interval, burst: r.Burst, turn: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
	made.turn <- struct{}{}
	return made
}

// inherit makes the bucket as full as that of another rate, which may be nil, is at this moment.
// The bucket must not be in use yet. If every change of a rate began with a full one, changes could
// add up to more calls than any of them allows.
func (r *rate) inherit(other *rate) {
	if r == nil || other == nil || r == other {
		return
	}
	other.mu.Lock()
	missing := float64(time.Until(other.full)) / (float64(other.burst) * float64(other.interval))
	other.mu.Unlock()
	if missing > 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.full = time.Now().Add(time.Duration(missing * float64(r.burst) * float64(r.interval)))
	}
}

// reserve waits for a token and reserves it; take or cancel must follow. It returns false when ctx
// ends before that.
func (r *rate) reserve(ctx context.Context) bool {
	if r.tryReserve() {
		return true
	}
	select {
	case <-r.turn:
	case <-ctx.Done():
		return false
	}
	defer func() { r.turn <- struct{}{} }()
	for {
		missing, ok := r.try()
		if ok {
			return true
		}
		timer := time.NewTimer(missing)
		select {
		case <-timer.C:
		case <-r.changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return false
		}
	}
}

// tryReserve is a reserve that does not wait.
func (r *rate) tryReserve() bool {
	if r == nil {
		return true
	}
	_, ok := r.try()
	return ok
}

// try reserves a token, or returns how long one is missing if no reservation ends before.
func (r *rate) try() (missing time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reserved >= r.burst {
		return math.MaxInt64, false
	}
	if now := time.Now(); r.full.After(now) {
		missing = r.full.Sub(now) - time.Duration(r.burst-r.reserved-1)*r.interval
	}
	if missing > 0 {
		return missing, false
	}
	r.reserved++
	return 0, true
}

// take takes the token that is reserved: the call begins.
func (r *rate) take() {
	if r == nil {
		return
	}
	r.mu.Lock()
	if now := time.Now(); now.After(r.full) {
		r.full = now
	}
	r.full = r.full.Add(r.interval)
	r.mu.Unlock()
	r.cancel()
}

// cancel ends a reservation; the token stays in the bucket.
func (r *rate) cancel() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.reserved--
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}
