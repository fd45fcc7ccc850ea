package kube

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	minBackoff = 250 * time.Millisecond
	// maxBackoff also bounds how long a right that was granted, or an API server that came back,
	// goes unnoticed.
	maxBackoff = 10 * time.Second

	// goneAfter is how long a kind has to be denied before its objects are taken for deleted. A
	// kind that exists may be denied by an API server that has just started. So may it be by one of
	// several that learns of a CRD later than the others.
	goneAfter = 2 * time.Second

	// healthyWatch is how long a watch has to last to be no failure.
	healthyWatch = 10 * time.Second

	// tolerated is how many failures in a row are normal, as long as the cache stays good: a watch
	// whose version has expired, a discovery document that is a moment behind.
	tolerated = 3
)

// failures are what went wrong with a source lately. They belong to the goroutine of its run.
type failures struct {
	requests     int       // requests that failed since the last watch was opened
	shortWatches int       // watches in a row that did not last
	absentSince  time.Time // when the kind was first denied; zero while it is served
}

// absent notes that the API server denies the kind. It reports whether that has lasted for so long
// that the kind is gone.
func (f *failures) absent() (gone bool) {
	if f.absentSince.IsZero() {
		f.absentSince = time.Now()
	}
	f.requests, f.shortWatches = 0, 0
	return time.Since(f.absentSince) >= goneAfter
}

// cutOff reports whether watches do not last.
func (f *failures) cutOff() bool { return f.shortWatches >= tolerated }

// backoff is how long to wait after that many failures in a row: between a half and all of a delay
// that doubles. It is no wait.Backoff: that has a state, which would have to be reset wherever a
// count is. The counts are needed anyway, as they also decide when failures become the status.
func backoff(failures int) time.Duration {
	delay := min(minBackoff<<min(max(failures-1, 0), 16), maxBackoff)
	return delay/2 + rand.N(delay/2+1) //nolint:gosec // jitter needs no cryptographic randomness
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
