package webhook

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// failuresToOpen is how many calls in a row have to fail before a hook is not called any more.
	failuresToOpen = 5
	// firstPause and lastPause bound how long a hook is not called; the pause doubles with each
	// call that fails after one.
	firstPause = time.Second
	lastPause  = time.Minute
)

// breaker is a circuit breaker: it notices that a hook fails again and again, and opens, so that
// the hook is not called for a while. Parents then do not wait for timeouts, and a service that
// comes up again is not run over. It is safe for concurrent use.
type breaker struct {
	now func() time.Time

	mu       sync.Mutex
	failures int       // in a row
	first    types.UID // of the parent for which the first of them was
	decisive bool      // they cannot be the fault of one parent
	pause    time.Duration
	until    time.Time // while pause is not 0
	probing  bool      // one call is under way, to see
}

// entry is a call that may be made.
type entry struct{ probe bool }

// refused returns how long the hook is not called any more, 0 when it may be called.
func (b *breaker) refused() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusedFor()
}

func (b *breaker) refusedFor() time.Duration {
	switch left := b.until.Sub(b.now()); {
	case b.pause == 0:
		return 0
	case left > 0:
		return left
	case b.probing:
		return firstPause
	default:
		return 0
	}
}

// enter asks for a call. Each entry that it gives has to be ended by one of the other methods.
func (b *breaker) enter() (entry, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.refusedFor(); wait > 0 {
		return entry{}, wait
	}
	b.probing = b.pause > 0
	return entry{probe: b.probing}, 0
}

// succeeded ends a call that the hook has answered, and reports whether that ended a pause.
func (b *breaker) succeeded(e entry) (ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause > 0 && !e.probe {
		return false // It was sent before the others failed.
	}
	ended = b.pause > 0
	b.failures, b.decisive, b.pause, b.probing = 0, false, 0, false
	return ended
}

// reset closes it. No call may be under way.
func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.decisive, b.pause, b.probing = 0, false, 0, false
}

// abandoned ends a call of which it is not known whether the hook would have answered.
func (b *breaker) abandoned(e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.probe {
		b.probing = false
	}
}

// failed ends a call that the hook has not answered as it should. Without a connection that is no
// matter of one parent; else it may be, so that more than one parent has to be concerned. It
// returns how long the hook is not called, 0 if it may be, and whether that has begun now.
func (b *breaker) failed(e entry, parent types.UID, connected bool) (pause time.Duration, opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause > 0 && !e.probe {
		return max(b.refusedFor(), firstPause), false // It was sent before.
	}
	if b.failures == 0 {
		b.first = parent
	}
	b.failures++
	b.decisive = b.decisive || !connected || parent != b.first
	switch {
	case e.probe:
		b.pause = min(2*b.pause, lastPause)
	case b.failures >= failuresToOpen && b.decisive:
		b.pause = firstPause
	default:
		return 0, false
	}
	b.until, b.probing = b.now().Add(b.pause), false
	return b.pause, !e.probe
}
