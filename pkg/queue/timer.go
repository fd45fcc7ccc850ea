package queue

import (
	"math"
	"time"
)

// timer is the one timer of a queue: it fires when the first delayed key becomes due, or before.
type timer struct {
	fire  func()
	timer *time.Timer
	at    time.Duration
	set   bool
}

// schedule makes the timer call fire by the time at. If it is set for an earlier time, it stays so:
// fire schedules it again.
func (t *timer) schedule(at, now time.Duration) {
	if t.set && t.at <= at {
		return
	}
	t.at, t.set = at, true
	if t.timer == nil {
		t.timer = time.AfterFunc(at-now, t.fire)
		return
	}
	t.timer.Reset(at - now)
}

func (t *timer) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
	t.set = false
}

// after returns now+d, or the end of time if that is beyond it.
func after(now, d time.Duration) time.Duration {
	if d > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + d
}
