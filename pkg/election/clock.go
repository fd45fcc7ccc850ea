package election

import "time"

// Clock is what an elector reads the time from. Both readings must be cheap and safe for
// concurrent use: [Elector.Remaining] takes them for every request of the gate. Timers only wake
// the elector up; these readings decide.
type Clock interface {
	// Wall returns the wall clock. A monotonic reading inside the result is ignored.
	Wall() time.Time
	// Boot returns the time since some fixed moment, counting also while the machine is suspended.
	Boot() time.Duration
}

// instant is one reading of both clocks.
type instant struct {
	boot time.Duration
	wall time.Time
}

// read takes a reading of both clocks. The wall clock's monotonic part is stripped: it would make
// Sub blind to suspension and to steps of the wall clock, which is exactly what the second clock is
// there to notice.
func read(c Clock) instant {
	return instant{boot: c.Boot(), wall: c.Wall().Round(0)}
}

// until returns how much time has passed between i and a later reading: the larger of what the two
// clocks say, never negative.
func (i instant) until(later instant) time.Duration {
	return max(later.boot-i.boot, later.wall.Sub(i.wall), 0)
}
