package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestInitialLimiter(t *testing.T) {
	acquire := func(t *testing.T, l *initialLimiter) <-chan func() {
		acquired := make(chan func(), 1)
		go func() { acquired <- l.acquire(t.Context()) }()
		return acquired
	}
	t.Run("a processor stays free", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newInitialLimiter(3)
			first, second := l.acquire(t.Context()), l.acquire(t.Context())
			third := acquire(t, l)
			synctest.Wait()
			if len(third) > 0 {
				t.Fatal("three calls of three processors have begun")
			}
			first()
			(<-third)()
			second()
			if len(l.turns) > 0 {
				t.Errorf("%d turns are not given back", len(l.turns))
			}
		})
	})
	t.Run("a call that waits keeps none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newInitialLimiter(2)
			first, begun := l.acquire(t.Context()), time.Now()
			second := l.acquire(t.Context())
			if took := time.Since(begun); took != initialTurn {
				t.Errorf("the second call has begun after %s", took)
			}
			first()
			if len(l.turns) != 1 {
				t.Errorf("%d calls count as computing, want the second", len(l.turns))
			}
			second()
		})
	})
	t.Run("one processor rests", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newInitialLimiter(1)
			begun := time.Now()
			l.acquire(t.Context())() // The first one is followed by a pause.
			l.acquire(t.Context())()
			if took := time.Since(begun); took != initialRest {
				t.Errorf("the second call has begun after %s", took)
			}
			l.acquire(t.Context())()
			if took := time.Since(begun); took != initialRest {
				t.Errorf("the third call has begun after %s", took)
			}
			time.Sleep(initialBusy)
			synctest.Wait()
			l.acquire(t.Context())()
			from := time.Now()
			l.acquire(t.Context())()
			if took := time.Since(from); took != initialRest {
				t.Errorf("a call after %s has begun after %s", initialBusy, took)
			}
		})
	})
	t.Run("the end of the work", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // Or the turn could be over on a slow machine.
			l := newInitialLimiter(1)
			defer l.acquire(t.Context())()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if l.acquire(ctx) != nil {
				t.Error("a call may begin after the end")
			}
		})
	})
}
