package queue

import (
	"slices"
	"testing"
	"time"
)

func TestAdd(t *testing.T) {
	play(t, map[string]scenario{
		"classes go before each other, first come first served within one": {
			finish: takes(s, done),
			script: func(q *Queue[string]) {
				q.Add("busy", Initial)
				sleep(s / 2)
				for _, p := range []Priority{200, Resync, Requeue, Retry, Change} { // An unknown one is the least urgent.
					q.Add(p.String()+"1", p)
					q.Add(p.String()+"2", p)
				}
			},
			want: []string{
				"0s busy initial", "1s change1 change +500ms", "2s change2 change +1.5s",
				"3s retry1 retry +2.5s", "4s retry2 retry +3.5s", "5s requeue1 requeue +4.5s", "6s requeue2 requeue +5.5s",
				"7s resync1 resync +6.5s", "8s resync2 resync +7.5s", "9s initial1 initial +8.5s", "10s initial2 initial +9.5s",
			},
		},
		"adds coalesce: the most urgent priority, the first add and its place count": {
			finish: takes(s, done),
			script: func(q *Queue[string]) {
				q.Add("busy", Change)
				sleep(s / 4)
				q.Add("a", Initial)
				q.Add("b", Resync)
				q.Add("c", Resync)
				sleep(s / 4)
				q.Add("a", Change)
				q.Add("a", Resync)
				q.Add("b", Resync)
			},
			want: []string{"0s busy change", "1s a change +750ms", "2s b resync +1.75s", "3s c resync +2.75s"},
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
			want: []string{"0s a change", "2s b change +1s", "4s a change +3s"},
		},
	})
}

func TestDelay(t *testing.T) {
	play(t, map[string]scenario{
		"the longest delay does not overflow": {
			script: func(q *Queue[string]) { sleep(s); delay(q, "a", Requeue, 1<<63-1); delay(q, "b", Requeue, s) },
			want:   []string{"2s b requeue"},
		},
		"delayed keys come in the order of their times, those of one time in the order of urgency": {
			script: func(q *Queue[string]) {
				delay(q, "c", Retry, 30*s)
				delay(q, "a", Retry, 10*s)
				delay(q, "b2", Requeue, 20*s)
				delay(q, "b1", Retry, 20*s)
			},
			want: []string{"10s a retry", "20s b1 retry", "20s b2 requeue", "30s c retry"},
		},
		"an add takes a delayed key over: one call, now, for its own reason": {
			script: func(q *Queue[string]) {
				delay(q, "a", Requeue, 10*s)
				delay(q, "b", Retry, 10*s)
				sleep(3 * s)
				q.Add("a", Change)
				q.Add("b", Resync)
			},
			want: []string{"3s a change", "3s b resync"},
		},
	})
}

func TestRequeue(t *testing.T) {
	play(t, map[string]scenario{
		"after a delay": {
			finish: takes(2*s, inTurn(requeue(10*s), done)),
			script: func(q *Queue[string]) { q.Add("a", Change) },
			want:   []string{"0s a change", "12s a requeue"},
		},
		"without a delay": {
			finish: takes(2*s, inTurn(requeue(0), done)),
			script: func(q *Queue[string]) { q.Add("a", Change) },
			want:   []string{"0s a change", "2s a requeue"},
		},
		"void when a change came during the call": {
			finish: takes(2*s, inTurn(requeue(10*s), done)),
			script: func(q *Queue[string]) { q.Add("a", Change); sleep(s); q.Add("a", Change) },
			want:   []string{"0s a change", "2s a change +1s"},
		},
	})
}

func TestRetryAlways(t *testing.T) {
	always := func(after time.Duration) finish {
		return func(q *Queue[string], item Item[string]) { RetryAlways(q, item.Key, after) }
	}
	play(t, map[string]scenario{
		"with the backoff": {
			backoff: Backoff{Initial: s, MaxRetries: 1},
			finish:  inTurn(append(slices.Repeat([]finish{always(0)}, 3), done)...),
			script:  func(q *Queue[string]) { q.Add("a", Change) },
			want:    []string{"0s a change", "1s a retry#1", "3s a retry#2", "7s a retry#3"},
		},
		"after a time": {
			backoff: Backoff{Initial: s, Max: 2 * s},
			finish:  inTurn(always(time.Minute), always(time.Second/2), done),
			script:  func(q *Queue[string]) { q.Add("a", Change) },
			want:    []string{"0s a change", "1m0s a retry#1", "1m0.5s a retry#2"},
		},
		"unless there is a change": {
			backoff: Backoff{Initial: s},
			finish:  inTurn(always(time.Minute), done),
			script:  func(q *Queue[string]) { q.Add("a", Change); sleep(s); q.Add("a", Change) },
			want:    []string{"0s a change", "1s a change"},
		},
	})
}

func TestPostpone(t *testing.T) {
	play(t, map[string]scenario{
		"keeps the count of failures and the priority": {
			backoff: Backoff{Initial: s, MaxRetries: -1},
			finish:  inTurn(retry, postpone(5*s), done),
			script:  func(q *Queue[string]) { q.Add("a", Resync) },
			want:    []string{"0s a resync", "1s a retry#1", "6s a retry#1"},
		},
		"void when a change comes before its time": {
			finish: inTurn(postpone(10*s), done),
			script: func(q *Queue[string]) { q.Add("a", Resync); sleep(s); q.Add("a", Change) },
			want:   []string{"0s a resync", "1s a change"},
		},
	})
}

func TestDrop(t *testing.T) {
	play(t, map[string]scenario{
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
			want: []string{"0s busy change", "2s b change +1s", "4s c change +3s"},
		},
		"processed: it does not come back": {
			backoff: Backoff{Initial: s, MaxRetries: -1},
			finish:  takes(2*s, retry),
			script:  func(q *Queue[string]) { q.Add("a", Change); sleep(s); q.Add("a", Change); q.Drop("a") },
			want:    []string{"0s a change"},
		},
		"processed, then added again: a call for that, from 0": {
			backoff: Backoff{Initial: s, MaxRetries: -1},
			finish:  takes(2*s, failing(2)),
			script:  func(q *Queue[string]) { q.Add("a", Change); sleep(s); q.Drop("a"); q.Add("a", Change) },
			want:    []string{"0s a change", "2s a change +1s", "5s a retry#1"},
		},
	})
}
