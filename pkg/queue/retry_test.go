package queue

import (
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBackoffDelay(t *testing.T) {
	tests := map[string]struct {
		backoff  Backoff
		failures int
		want     time.Duration
	}{
		"default, first":        {failures: 1, want: 5 * time.Millisecond},
		"default, tenth":        {failures: 10, want: 2560 * time.Millisecond},
		"default, last below":   {failures: 16, want: 163840 * time.Millisecond},
		"default, capped":       {failures: 17, want: 5 * time.Minute},
		"no failure":            {failures: 0, want: 5 * time.Millisecond},
		"shift of the sign bit": {failures: 64, want: 5 * time.Minute},
		"beyond 64 bits":        {failures: math.MaxInt, want: 5 * time.Minute},
		"max below initial":     {backoff: Backoff{Initial: s, Max: s / 2}, failures: 1, want: s / 2},
		"largest max":           {backoff: Backoff{Initial: 3, Max: math.MaxInt64}, failures: 62, want: 3 << 61},
		"largest max, capped":   {backoff: Backoff{Initial: 3, Max: math.MaxInt64}, failures: 63, want: math.MaxInt64},
		"negative settings":     {backoff: Backoff{Initial: -s, Max: -s}, failures: 2, want: 10 * time.Millisecond},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.backoff.Delay(test.failures); got != test.want {
				t.Errorf("Delay(%d) = %v, want %v", test.failures, got, test.want)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	unlimited := Backoff{Initial: s, Max: 5 * s, MaxRetries: -1}
	twice := Backoff{Initial: s, Max: 5 * s, MaxRetries: 2}
	addAt := func(adds map[time.Duration]Priority) func(*Queue[string]) {
		return func(q *Queue[string]) {
			for at := time.Duration(0); at < time.Minute; at += s / 2 {
				if p, ok := adds[at]; ok {
					q.Add("a", p)
				}
				sleep(s / 2)
			}
		}
	}
	tests := map[string]struct {
		backoff Backoff
		finish  func(*Queue[string], Item[string])
		adds    map[time.Duration]Priority
		want    []call
	}{
		"exponential, capped, forgotten on success": {
			backoff: unlimited,
			finish:  failing(5),
			adds:    map[time.Duration]Priority{0: Initial, 30 * s: Change},
			want: []call{
				{Key: "a", Priority: Initial},
				{Key: "a", Priority: Retry, Attempt: 1, At: 1 * s},
				{Key: "a", Priority: Retry, Attempt: 2, At: 3 * s},
				{Key: "a", Priority: Retry, Attempt: 3, At: 7 * s},
				{Key: "a", Priority: Retry, Attempt: 4, At: 12 * s},
				{Key: "a", Priority: Retry, Attempt: 5, At: 17 * s},
				{Key: "a", Priority: Change, At: 30 * s},
			},
		},
		"no retry by default": {
			finish: failing(9),
			adds:   map[time.Duration]Priority{0: Change, 5 * s: Resync},
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Resync, At: 5 * s},
			},
		},
		"used up, then a change and a resync have a full set": {
			backoff: twice,
			finish:  failing(9),
			adds:    map[time.Duration]Priority{0: Change, 10 * s: Change, 20 * s: Resync},
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Retry, Attempt: 1, At: 1 * s},
				{Key: "a", Priority: Retry, Attempt: 2, At: 3 * s},
				{Key: "a", Priority: Change, At: 10 * s},
				{Key: "a", Priority: Retry, Attempt: 1, At: 11 * s},
				{Key: "a", Priority: Retry, Attempt: 2, At: 13 * s},
				{Key: "a", Priority: Resync, At: 20 * s},
				{Key: "a", Priority: Retry, Attempt: 1, At: 21 * s},
				{Key: "a", Priority: Retry, Attempt: 2, At: 23 * s},
			},
		},
		"a change during the backoff comes at once and starts it anew": {
			backoff: twice,
			finish:  failing(9),
			adds:    map[time.Duration]Priority{0: Change, 2 * s: Change},
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Retry, Attempt: 1, At: 1 * s},
				{Key: "a", Priority: Change, At: 2 * s},
				{Key: "a", Priority: Retry, Attempt: 1, At: 3 * s},
				{Key: "a", Priority: Retry, Attempt: 2, At: 5 * s},
			},
		},
		"a resync during the backoff comes at once and counts as a retry": {
			backoff: twice,
			finish:  failing(9),
			adds:    map[time.Duration]Priority{0: Change, 2 * s: Resync},
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Retry, Attempt: 1, At: 1 * s},
				{Key: "a", Priority: Resync, Attempt: 2, At: 2 * s},
			},
		},
		"a change during the failing call comes after it, without the backoff": {
			backoff: twice,
			finish:  takes(s, failing(2)),
			adds:    map[time.Duration]Priority{0: Change, s / 2: Change},
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Change, At: s, Waited: s / 2},
				{Key: "a", Priority: Retry, Attempt: 1, At: 3 * s},
			},
		},
		"not exhausted while a call is due": {
			backoff: Backoff{Initial: s},
			finish:  takes(s, retry),
			adds:    map[time.Duration]Priority{0: Change, s / 2: Resync},
			want: []call{
				{Key: "a", Priority: Change},
				{Key: "a", Priority: Resync, Attempt: 1, At: s, Waited: s / 2},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				r.run(t, New[string](Options{Backoff: test.backoff}), test.finish, addAt(test.adds))
				if diff := cmp.Diff(test.want, r.calls); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestChangesDoNotInflateTheBackoff has a key fail that changes ten times a second: neither the
// delay nor the budget of the retry that follows the last change counts what failed before it.
func TestChangesDoNotInflateTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{Backoff: Backoff{MaxRetries: 10}})
		var mended atomic.Bool
		finish := func(q *Queue[string], item Item[string]) {
			if mended.Load() {
				q.Done(item.Key)
				return
			}
			q.Retry(item.Key)
		}
		var r recorder
		r.run(t, q, finish, func(q *Queue[string]) {
			for range 40 {
				q.Add("a", Change)
				sleep(100 * time.Millisecond)
			}
			mended.Store(true)
		})
		last := r.calls[len(r.calls)-1]
		if last.Priority != Retry || last.At > 5*s || last.Attempt > 10 {
			t.Errorf("the last call is %+v, want a retry soon after the last change", last)
		}
		for _, c := range r.calls {
			if c.Priority == Change && c.Attempt != 0 {
				t.Fatalf("a change is attempt %d, want 0", c.Attempt)
			}
		}
	})
}

// TestRetryWhileACallIsDue has a change come while the call for the last one fails: none of the
// calls is a retry.
func TestRetryWhileACallIsDue(t *testing.T) {
	o := &counter{}
	q := New[string](Options{Observer: o, Backoff: Backoff{MaxRetries: -1}})
	defer q.ShutDown()
	q.Add("a", Change)
	for range 20 {
		item, _ := q.Get(t.Context())
		q.Add("a", Change)
		if delay, exhausted := q.Retry(item.Key); delay != 0 || exhausted {
			t.Fatalf("Retry = %v, %t, want 0, false: the call for the change is the next", delay, exhausted)
		}
	}
	if n := o.added[Retry]; n != 0 {
		t.Errorf("%d retries were added, want none", n)
	}
}

func TestRetryReturnsDelayAndExhaustion(t *testing.T) {
	type result struct {
		Delay     time.Duration
		Exhausted bool
	}
	synctest.Test(t, func(t *testing.T) {
		var got []result
		finish := func(q *Queue[string], item Item[string]) {
			delay, exhausted := q.Retry(item.Key)
			got = append(got, result{delay, exhausted})
		}
		var r recorder
		r.run(t, New[string](Options{Backoff: Backoff{Initial: s, Max: 3 * s, MaxRetries: 3}}), finish,
			func(q *Queue[string]) { q.Add("a", Change) })
		want := []result{{Delay: s}, {Delay: 2 * s}, {Delay: 3 * s}, {Exhausted: true}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("results of Retry (-want +got):\n%s", diff)
		}
	})
}

func TestDrop(t *testing.T) {
	backoff := Backoff{Initial: s, MaxRetries: -1}
	tests := map[string]struct {
		finish func(*Queue[string], Item[string])
		script func(*Queue[string])
		want   []call
	}{
		"unknown": {
			finish: done,
			script: func(q *Queue[string]) { q.Drop("a") },
		},
		"waiting": {
			finish: takes(2*s, done),
			script: func(q *Queue[string]) {
				q.Add("busy", Change)
				sleep(s)
				q.Add("b", Change)
				q.Add("a", Change)
				q.Add("c", Change)
				q.Drop("a")
			},
			want: []call{
				{Key: "busy"},
				{Key: "b", At: 2 * s, Waited: s},
				{Key: "c", At: 4 * s, Waited: 3 * s},
			},
		},
		"delayed": {
			finish: done,
			script: func(q *Queue[string]) {
				delay(q, "a", Requeue, 2*s)
				delay(q, "b", Requeue, 3*s)
				q.Drop("a")
			},
			want: []call{{Key: "b", Priority: Requeue, At: 3 * s}},
		},
		"failing, then added again: from 0": {
			finish: failing(2),
			script: func(q *Queue[string]) {
				q.Add("a", Change)
				sleep(s / 2)
				q.Drop("a")
				q.Add("a", Change)
			},
			want: []call{
				{Key: "a"},
				{Key: "a", At: s / 2},
				{Key: "a", Priority: Retry, Attempt: 1, At: 3 * s / 2},
			},
		},
		"processed: no retry": {
			finish: takes(2*s, retry),
			script: func(q *Queue[string]) {
				q.Add("a", Change)
				sleep(s)
				q.Add("a", Change)
				q.Drop("a")
			},
			want: []call{{Key: "a"}},
		},
		"processed: no requeue": {
			finish: takes(2*s, func(q *Queue[string], item Item[string]) { q.Requeue(item.Key, s) }),
			script: func(q *Queue[string]) {
				q.Add("a", Change)
				sleep(s)
				q.Drop("a")
			},
			want: []call{{Key: "a"}},
		},
		"processed, then added again: a call for that, from 0": {
			finish: takes(2*s, failing(2)),
			script: func(q *Queue[string]) {
				q.Add("a", Change)
				sleep(s)
				q.Drop("a")
				q.Add("a", Change)
			},
			want: []call{
				{Key: "a"},
				{Key: "a", At: 2 * s, Waited: s},
				{Key: "a", Priority: Retry, Attempt: 1, At: 5 * s},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				r.run(t, New[string](Options{Backoff: backoff}), test.finish, test.script)
				if diff := cmp.Diff(test.want, r.calls); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestSetBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{Backoff: Backoff{Initial: time.Second, MaxRetries: 5}})
		defer q.ShutDown()
		q.Add("a", Change)
		for i, want := range []time.Duration{time.Second, 2 * time.Second, 40 * time.Millisecond, 0} {
			if _, ok := q.Get(t.Context()); !ok {
				t.Fatal("there is nothing to do")
			}
			switch i {
			case 2:
				q.SetBackoff(Backoff{Initial: 10 * time.Millisecond, MaxRetries: 5})
			case 3:
				q.SetBackoff(Backoff{MaxRetries: 2})
			}
			delay, exhausted := q.Retry("a")
			if delay != want || exhausted != (i == 3) {
				t.Errorf("try %d: delay %s, exhausted %t, want %s", i, delay, exhausted, want)
			}
		}
	})
}
