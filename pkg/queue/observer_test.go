package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got counter
		q := New[string](Options{Observer: &got, Backoff: Backoff{Initial: s, MaxRetries: 1}})
		expect := func(step string, want counter) {
			t.Helper()
			synctest.Wait()
			q.mu.Lock()
			defer q.mu.Unlock()
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(counter{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		q.Add("a", Initial)
		q.Add("a", Change)
		q.Add("b", Resync)
		delay(q, "c", Requeue, 10*s)
		expect("added", counter{added: [priorities]int{1, 0, 1, 1, 1}, coalesced: [priorities]int{1}, depth: 2})

		time.Sleep(2 * s)
		q.Get(t.Context())
		q.Retry("a")
		expect("failed", counter{
			added: [priorities]int{1, 1, 1, 1, 1}, coalesced: [priorities]int{1}, got: 1, waited: 2 * s, depth: 1,
		})

		time.Sleep(s)
		expect("retry due", counter{
			added: [priorities]int{1, 1, 1, 1, 1}, coalesced: [priorities]int{1}, got: 1, waited: 2 * s, depth: 2,
		})

		q.Get(t.Context())
		q.Retry("a")
		q.Drop("b")
		expect("exhausted and dropped", counter{
			added: [priorities]int{1, 1, 1, 1, 1}, coalesced: [priorities]int{1}, got: 2, waited: 2 * s,
		})

		time.Sleep(10 * s)
		q.Get(t.Context())
		q.Add("c", Change)
		expect("added while it is processed", counter{
			added: [priorities]int{2, 1, 1, 1, 1}, coalesced: [priorities]int{1}, got: 3, waited: 5 * s,
		})

		q.Done("c")
		expect("ready after that", counter{
			added: [priorities]int{2, 1, 1, 1, 1}, coalesced: [priorities]int{1}, got: 3, waited: 5 * s, depth: 1,
		})

		q.ShutDown()
		q.Add("d", Change)
		expect("shut down", counter{added: [priorities]int{2, 1, 1, 1, 1}, coalesced: [priorities]int{1}, got: 3, waited: 5 * s})
	})
}
