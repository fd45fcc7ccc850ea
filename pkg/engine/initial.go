package engine

import (
	"context"
	"sync"
	"time"
)

const (
	// initialTurn is for how long a first call keeps others from beginning. One that takes longer
	// is taken to wait for an answer, and not to compute.
	initialTurn = 2 * time.Millisecond
	// initialRest is the pause of first calls where there is only one processor, and initialBusy is
	// how often there is one.
	initialRest = 50 * time.Microsecond
	initialBusy = 4 * time.Millisecond
)

// initialLimiter keeps one processor free while composers are called for all objects at the begin
// of a term. The Go scheduler looks for what has come from the network when a processor has nothing
// to do, and else every 10 ms. With all of them computing, each request of a call that has
// something to do would take as long as that. It is safe for concurrent use.
type initialLimiter struct {
	turns  chan struct{} // has a value for each call that computes
	single bool          // there is only one processor

	mu   sync.Mutex
	busy time.Time // since when there was no pause
}

func newInitialLimiter(processors int) *initialLimiter {
	return &initialLimiter{turns: make(chan struct{}, max(1, processors-1)), single: processors == 1}
}

// acquire waits until a first call may begin. release follows its end. It returns nil when ctx has
// ended before.
func (l *initialLimiter) acquire(ctx context.Context) (release func()) {
	select {
	case l.turns <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	end := sync.OnceFunc(l.end)
	over := time.AfterFunc(initialTurn, end)
	return func() {
		over.Stop()
		end()
	}
}

// end gives a turn to the next call, after a pause if one is due.
func (l *initialLimiter) end() {
	if l.single && l.restIsDue(time.Now()) {
		time.AfterFunc(initialRest, func() { <-l.turns })
		return
	}
	<-l.turns
}

func (l *initialLimiter) restIsDue(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.busy) < initialBusy {
		return false
	}
	l.busy = now
	return true
}
