package queue

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestWithdraw takes back one priority while keys wait, are delayed, and are being processed.
func TestWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := 0
		q := New[string](Options{Backoff: Backoff{Initial: time.Hour, Max: time.Hour, MaxRetries: -1}, Observer: depthObserver{&depth}})
		defer q.ShutDown()
		take := func(key string) {
			t.Helper()
			q.Add(key, Change)
			if item, ok := q.Get(t.Context()); !ok || item.Key != key {
				t.Fatalf("got %+v, want %s", item, key)
			}
		}
		take("retried")
		q.Retry("retried", 0)
		take("retried now")
		q.Retry("retried now", 0)
		q.Add("retried now", Initial)
		take("requeued")
		q.Requeue("requeued", time.Hour)
		take("postponed")
		q.Postpone("postponed", Initial, time.Hour)
		take("processed")
		q.Add("processed", Initial)
		q.Add("changed", Change)
		q.Add("resynced", Resync)
		q.AddAll(manyKeys())

		withdrawn := Withdraw(q, Initial)
		slices.Sort(withdrawn)
		want := append(slices.Clone(manyKeys()[:backlogAhead-1]), "postponed", "processed") // "retried now" is one of those that are ready
		if diff := cmp.Diff(want, withdrawn); diff != "" {
			t.Errorf("withdrawn (-want +have):\n%s", diff)
		}
		if err := q.check(); err != nil {
			t.Error(err)
		}
		q.Done("processed")
		if depth != 3 {
			t.Errorf("the depth is %d, want 3", depth)
		}
		if diff := cmp.Diff([]string{"changed", "resynced", "retried now"}, keysOf(drain(t, q))); diff != "" {
			t.Errorf("handed out (-want +have):\n%s", diff)
		}
		time.Sleep(time.Hour)
		items := drain(t, q)
		slices.SortFunc(items, func(a, b Item[string]) int { return len(a.Key) - len(b.Key) })
		if diff := cmp.Diff([]string{"retried", "requeued"}, keysOf(items)); diff != "" {
			t.Errorf("handed out an hour later (-want +have):\n%s", diff)
		}
		if Withdraw(q, Change) != nil || depth != 0 {
			t.Errorf("something is left, the depth is %d", depth)
		}
	})
}
