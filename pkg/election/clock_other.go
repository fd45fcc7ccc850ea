//go:build !linux

package election

import "time"

// systemClock is the machine's own clock.
type systemClock struct{ started time.Time }

func newSystemClock() Clock { return systemClock{started: time.Now()} }

func (systemClock) Wall() time.Time { return time.Now() }

// Boot implements [Clock] with the monotonic clock, which may stand still during suspension. The
// wall clock then still ends a term in time, because the larger elapsed time of the two counts.
func (c systemClock) Boot() time.Duration { return time.Since(c.started) }
