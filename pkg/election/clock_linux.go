package election

import (
	"time"

	"golang.org/x/sys/unix"
)

// systemClock is the machine's own clock.
type systemClock struct{ started time.Time }

func newSystemClock() Clock { return systemClock{started: time.Now()} }

func (systemClock) Wall() time.Time { return time.Now() }

// Boot reads CLOCK_BOOTTIME. The standard library has only CLOCK_MONOTONIC, which stands still
// while the machine is suspended (golang/go#24595): a leader that slept for an hour would believe
// in its term.
func (c systemClock) Boot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Since(c.started) // kernels before 2.6.39 only
	}
	return time.Duration(ts.Nano())
}
