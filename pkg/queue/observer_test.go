package queue

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var have counter
		q := New[string](Options{Observer: &have, Backoff: Backoff{Initial: s, MaxRetries: 1}})
		// expect compares the adds and those that coalesced, by priority, what was handed out and
		// how long that has waited, and the depth.
		expect := func(step, want string) {
			t.Helper()
			synctest.Wait()
			q.mu.Lock()
			defer q.mu.Unlock()
			text := fmt.Sprintf("added %v %v, got %d %s, depth %d", have.added, have.coalesced, have.got, have.waited, have.depth)
			if text != want {
				t.Errorf("%s: %s, want %s", step, text, want)
			}
		}
		q.Add("a", Initial)
		q.Add("a", Change)
		q.Add("b", Resync)
		delay(q, "c", Requeue, 10*s)
		expect("added", "added [1 0 1 1 1] [1 0 0 0 0], got 0 0s, depth 2")
		time.Sleep(2 * s)
		q.Get(t.Context())
		q.Retry("a", 0)
		expect("failed", "added [1 1 1 1 1] [1 0 0 0 0], got 1 2s, depth 1")
		time.Sleep(s)
		expect("retry due", "added [1 1 1 1 1] [1 0 0 0 0], got 1 2s, depth 2")
		q.Get(t.Context())
		q.Retry("a", 0)
		q.Drop("b")
		expect("exhausted and dropped", "added [1 1 1 1 1] [1 0 0 0 0], got 2 2s, depth 0")
		time.Sleep(10 * s)
		q.Get(t.Context())
		q.Add("c", Change)
		expect("added while it is processed", "added [2 1 1 1 1] [1 0 0 0 0], got 3 5s, depth 0")
		q.Done("c")
		expect("ready after that", "added [2 1 1 1 1] [1 0 0 0 0], got 3 5s, depth 1")
		q.Get(t.Context())
		q.Postpone("c", Change, s)
		time.Sleep(s)
		expect("postponed", "added [2 1 1 1 1] [1 0 0 0 0], got 4 5s, depth 1")
		q.Get(t.Context())
		expect("handed out once more", "added [2 1 1 1 1] [1 0 0 0 0], got 4 5s, depth 0")
		q.Postpone("c", Change, s)
		q.Add("c", Change)
		q.Get(t.Context())
		expect("added while postponed", "added [3 1 1 1 1] [2 0 0 0 0], got 5 5s, depth 0")
		q.Done("c")
		q.Add("d", Retry)
		q.ShutDown()
		q.Add("e", Change)
		expect("shut down", "added [3 2 1 1 1] [2 0 0 0 0], got 5 5s, depth 0")
	})
}
