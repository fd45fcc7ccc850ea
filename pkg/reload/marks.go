package reload

import (
	"math"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// marks are the contents that have been dealt with, by their marks. It is not safe for concurrent
// use.
type marks struct {
	seen    string // what was decided about last
	failed  string // what could not be decided about
	next    time.Time
	backoff *wait.Backoff
}

// decided reports whether a mark has been decided about, or has failed and is not to be tried again
// before a wait.
func (m *marks) decided(mark string) (wait time.Duration, decided bool) {
	if mark == m.seen {
		return 0, true
	}
	wait = time.Until(m.next)
	return wait, mark == m.failed && wait > 0
}

// decide notes that a mark has been decided about.
func (m *marks) decide(mark string) { *m = marks{seen: mark} }

// fail notes that a mark could not be decided about, and returns after how long to try again. An
// evaluation that has exceeded its limits is likely to do so again.
func (m *marks) fail(mark string, exceeded bool) time.Duration {
	m.seen = "" // What runs may come back, and has to be seen then.
	if m.failed != mark {
		m.failed = mark
		m.backoff = &wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.1, Steps: math.MaxInt32, Cap: time.Minute}
		if exceeded {
			m.backoff.Duration, m.backoff.Cap = time.Minute, 15*time.Minute
		}
	}
	after := m.backoff.Step()
	m.next = time.Now().Add(after)
	return after
}
