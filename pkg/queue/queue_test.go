package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const s = time.Second

func TestAdd(t *testing.T) {
	tests := map[string]struct {
		finish func(*Queue[string], Item[string])
		script func(*Queue[string])
		want   []call
	}{
		"one add is one call": {
			finish: done,
			script: func(q *Queue[string]) { q.Add("a", Initial) },
			want:   []call{{Key: "a", Priority: Initial}},
		},
		"classes go before each other, first come first served within one": {
			finish: takes(s, done),
			script: func(q *Queue[string]) {
				q.Add("busy", Initial)
				sleep(s / 2)
				for _, p := range []Priority{Initial, Resync, Requeue, Retry, Change} {
					q.Add(p.String()+"1", p)
					q.Add(p.String()+"2", p)
				}
			},
			want: []call{
				{Key: "busy", Priority: Initial},
				{Key: "change1", Priority: Change, At: 1 * s, Waited: s / 2},
				{Key: "change2", Priority: Change, At: 2 * s, Waited: 3 * s / 2},
				{Key: "retry1", Priority: Retry, At: 3 * s, Waited: 5 * s / 2},
				{Key: "retry2", Priority: Retry, At: 4 * s, Waited: 7 * s / 2},
				{Key: "requeue1", Priority: Requeue, At: 5 * s, Waited: 9 * s / 2},
				{Key: "requeue2", Priority: Requeue, At: 6 * s, Waited: 11 * s / 2},
				{Key: "resync1", Priority: Resync, At: 7 * s, Waited: 13 * s / 2},
				{Key: "resync2", Priority: Resync, At: 8 * s, Waited: 15 * s / 2},
				{Key: "initial1", Priority: Initial, At: 9 * s, Waited: 17 * s / 2},
				{Key: "initial2", Priority: Initial, At: 10 * s, Waited: 19 * s / 2},
			},
		},
		"adds coalesce: the most urgent priority and the first add count": {
			finish: takes(s, done),
			script: func(q *Queue[string]) {
				q.Add("busy", Change)
				sleep(s / 4)
				q.Add("a", Initial)
				q.Add("b", Resync)
				sleep(s / 4)
				q.Add("a", Change)
				q.Add("a", Resync)
			},
			want: []call{
				{Key: "busy", Priority: Change},
				{Key: "a", Priority: Change, At: s, Waited: 3 * s / 4},
				{Key: "b", Priority: Resync, At: 2 * s, Waited: 7 * s / 4},
			},
		},
		"an unknown priority is the least urgent": {
			finish: done,
			script: func(q *Queue[string]) { q.Add("a", 200) },
			want:   []call{{Key: "a", Priority: Initial}},
		},
		"a key added while it is processed comes again after that, behind those that came before": {
			finish: takes(2*s, done),
			script: func(q *Queue[string]) {
				q.Add("a", Change)
				sleep(s)
				q.Add("a", Resync)
				q.Add("a", Change)
				q.Add("b", Change)
			},
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "b", Priority: Change, At: 2 * s, Waited: s},
				{Key: "a", Priority: Change, At: 4 * s, Waited: 3 * s},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				r.run(t, New[string](Options{}), test.finish, test.script)
				if diff := cmp.Diff(test.want, r.calls); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestDelay(t *testing.T) {
	requeueOnce := func(d time.Duration) func(*Queue[string], Item[string]) {
		first := true
		return takes(2*s, func(q *Queue[string], item Item[string]) {
			if first {
				first = false
				q.Requeue(item.Key, d)
				return
			}
			q.Done(item.Key)
		})
	}
	tests := map[string]struct {
		finish func(*Queue[string], Item[string])
		script func(*Queue[string])
		want   []call
	}{
		"a delayed key comes on time": {
			finish: done,
			script: func(q *Queue[string]) { delay(q, "a", Requeue, 10*s) },
			want:   []call{{Key: "a", Priority: Requeue, At: 10 * s}},
		},
		"the longest delay does not overflow": {
			finish: done,
			script: func(q *Queue[string]) {
				sleep(s)
				delay(q, "a", Requeue, 1<<63-1)
				delay(q, "b", Requeue, s)
			},
			want: []call{{Key: "b", Priority: Requeue, At: 2 * s}},
		},
		"several delayed keys come in the order of their times, one time in the order of urgency": {
			finish: done,
			script: func(q *Queue[string]) {
				delay(q, "c", Retry, 30*s)
				delay(q, "a", Retry, 10*s)
				delay(q, "b2", Requeue, 20*s)
				delay(q, "b1", Retry, 20*s)
			},
			want: []call{
				{Key: "a", Priority: Retry, At: 10 * s},
				{Key: "b1", Priority: Retry, At: 20 * s},
				{Key: "b2", Priority: Requeue, At: 20 * s},
				{Key: "c", Priority: Retry, At: 30 * s},
			},
		},
		"an add takes a delayed key over: one call, now, for its own reason": {
			finish: done,
			script: func(q *Queue[string]) {
				delay(q, "a", Requeue, 10*s)
				delay(q, "b", Retry, 10*s)
				sleep(3 * s)
				q.Add("a", Change)
				q.Add("b", Resync)
			},
			want: []call{
				{Key: "a", Priority: Change, At: 3 * s},
				{Key: "b", Priority: Resync, At: 3 * s},
			},
		},
		"a delayed key whose time has come coalesces like any other": {
			finish: takes(5*s, done),
			script: func(q *Queue[string]) {
				q.Add("busy", Change)
				delay(q, "a", Requeue, 2*s)
				sleep(3 * s)
				q.Add("a", Resync)
			},
			want: []call{
				{Key: "busy", Priority: Change},
				{Key: "a", Priority: Requeue, At: 5 * s, Waited: 3 * s},
			},
		},
		"requeue after a call": {
			finish: requeueOnce(10 * s),
			script: func(q *Queue[string]) { q.Add("a", Change) },
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Requeue, At: 12 * s},
			},
		},
		"requeue is void when a change came during the call": {
			finish: requeueOnce(10 * s),
			script: func(q *Queue[string]) {
				q.Add("a", Change)
				sleep(s)
				q.Add("a", Change)
			},
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Change, At: 2 * s, Waited: s},
			},
		},
		"requeue is void when a change comes before its time": {
			finish: requeueOnce(10 * s),
			script: func(q *Queue[string]) {
				q.Add("a", Change)
				sleep(11 * s)
				q.Add("a", Change)
			},
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Change, At: 11 * s},
			},
		},
		"requeue without a delay": {
			finish: requeueOnce(0),
			script: func(q *Queue[string]) { q.Add("a", Change) },
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Requeue, At: 2 * s},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				r.run(t, New[string](Options{}), test.finish, test.script)
				if diff := cmp.Diff(test.want, r.calls); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestFinishingWhatIsNotProcessed(t *testing.T) {
	q := New[string](Options{Backoff: Backoff{MaxRetries: -1}})
	q.Add("waiting", Change)
	for _, key := range []string{"waiting", "unknown"} {
		q.Done(key)
		q.Requeue(key, 0)
		if delay, exhausted := q.Retry(key); delay != 0 || exhausted {
			t.Errorf("Retry(%s) = %v, %t, want 0, false", key, delay, exhausted)
		}
	}
	if err := q.check(); err != nil {
		t.Error(err)
	}
	item, ok := q.Get(t.Context())
	if want := (Item[string]{Key: "waiting", Waited: item.Waited}); !ok || item != want {
		t.Errorf("Get = %+v, %t, want %+v, true", item, ok, want)
	}
	if n := len(q.schedule.entries.byKey); n != 1 || q.readyLen() != 0 || len(q.schedule.delays) != 0 {
		t.Errorf("%d keys remembered, %d ready, %d delayed, want the one that is processed", n, q.readyLen(), len(q.schedule.delays))
	}
}

// TestPostpone keeps the count of failures and the priority, and lets a change overtake.
func TestPostpone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{Backoff: Backoff{MaxRetries: -1}})
		q.Add("a", Resync)
		item, _ := q.Get(t.Context())
		q.Retry(item.Key)
		item, _ = q.Get(t.Context())
		q.Postpone(item.Key, item.Priority, time.Second)
		began := time.Now()
		item, _ = q.Get(t.Context())
		if item.Attempt != 1 || item.Priority != Retry || time.Since(began) != time.Second {
			t.Errorf("postponed for %s, attempt %d, priority %v; want 1s, 1 and Retry", time.Since(began), item.Attempt, item.Priority)
		}
		q.Postpone(item.Key, item.Priority, time.Hour)
		began = time.Now()
		q.Add("a", Change)
		item, _ = q.Get(t.Context())
		if item.Priority != Change || time.Since(began) != 0 {
			t.Errorf("a change waited %s for what was postponed; priority %v", time.Since(began), item.Priority)
		}
		q.Drop("a")
		q.Postpone("a", Change, 0)
		if n := q.readyLen(); n != 0 {
			t.Errorf("%d keys after a drop", n)
		}
	})
}
