package queue

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoffDelay(t *testing.T) {
	for name, test := range map[string]struct {
		backoff  Backoff
		failures int
		want     time.Duration
	}{
		"default, first":        {failures: 1, want: 5 * time.Millisecond},
		"default, last below":   {failures: 16, want: 163840 * time.Millisecond},
		"default, capped":       {failures: 17, want: 5 * time.Minute},
		"no failure":            {failures: 0, want: 5 * time.Millisecond},
		"shift of the sign bit": {failures: 64, want: 5 * time.Minute},
		"beyond 64 bits":        {failures: math.MaxInt, want: 5 * time.Minute},
		"max below initial":     {backoff: Backoff{Initial: s, Max: s / 2}, failures: 1, want: s / 2},
		"largest max":           {backoff: Backoff{Initial: 3, Max: math.MaxInt64}, failures: 62, want: 3 << 61},
		"largest max, capped":   {backoff: Backoff{Initial: 3, Max: math.MaxInt64}, failures: 63, want: math.MaxInt64},
		"negative settings":     {backoff: Backoff{Initial: -s, Max: -s}, failures: 2, want: 10 * time.Millisecond},
	} {
		if got := test.backoff.Delay(test.failures); got != test.want {
			t.Errorf("%s: Delay(%d) = %v, want %v", name, test.failures, got, test.want)
		}
	}
}

func TestRetry(t *testing.T) {
	unlimited := Backoff{Initial: s, Max: 5 * s, MaxRetries: -1}
	twice := Backoff{Initial: s, Max: 5 * s, MaxRetries: 2}
	adds := func(at map[time.Duration]Priority) func(*Queue[string]) {
		return func(q *Queue[string]) {
			for now := time.Duration(0); now < time.Minute; now += s / 2 {
				if p, ok := at[now]; ok {
					q.Add("a", p)
				}
				sleep(s / 2)
			}
		}
	}
	play(t, map[string]scenario{
		"exponential, capped, forgotten on success": {
			backoff: unlimited,
			finish:  failing(5),
			script:  adds(map[time.Duration]Priority{0: Initial, 30 * s: Resync}),
			want: []string{
				"0s a initial", "1s a retry#1", "3s a retry#2", "7s a retry#3", "12s a retry#4", "17s a retry#5", "30s a resync",
			},
		},
		"no retry by default": {
			finish: retry,
			script: adds(map[time.Duration]Priority{0: Change, 5 * s: Resync}),
			want:   []string{"0s a change", "5s a resync"},
		},
		"used up, then a change and a resync have a full set": {
			backoff: twice,
			finish:  retry,
			script:  adds(map[time.Duration]Priority{0: Change, 10 * s: Change, 20 * s: Resync}),
			want: []string{
				"0s a change", "1s a retry#1", "3s a retry#2", "10s a change", "11s a retry#1", "13s a retry#2",
				"20s a resync", "21s a retry#1", "23s a retry#2",
			},
		},
		"a change during the backoff comes at once and starts it anew": {
			backoff: twice,
			finish:  retry,
			script:  adds(map[time.Duration]Priority{0: Change, 2 * s: Change}),
			want:    []string{"0s a change", "1s a retry#1", "2s a change", "3s a retry#1", "5s a retry#2"},
		},
		"a resync during the backoff comes at once and counts as a retry": {
			backoff: twice,
			finish:  retry,
			script:  adds(map[time.Duration]Priority{0: Change, 2 * s: Resync}),
			want:    []string{"0s a change", "1s a retry#1", "2s a resync#2"},
		},
		"a change during the failing call comes after it, without the backoff": {
			backoff: twice,
			finish:  takes(s, failing(2)),
			script:  adds(map[time.Duration]Priority{0: Change, s / 2: Change}),
			want:    []string{"0s a change", "1s a change +500ms", "3s a retry#1"},
		},
		"what is put off uses up no retries, and its backoff is another one": {
			backoff: twice,
			finish:  inTurn([]finish{retry, putOff(10 * s), putOff(11 * s), putOff(12 * s), retry, putOff(0), retry}...),
			script:  adds(map[time.Duration]Priority{0: Change}),
			want: []string{
				"0s a change", "1s a retry#1", "11s a retry#2", "22s a retry#3", "34s a retry#4", "36s a retry#5", "41s a retry#6",
			},
		},
		"what is put off is forgotten with success": {
			backoff: unlimited,
			finish:  inTurn([]finish{putOff(2 * s), putOff(3 * s), done, putOff(0), done}...),
			script:  adds(map[time.Duration]Priority{0: Change, 10 * s: Resync}),
			want:    []string{"0s a change", "2s a retry#1", "5s a retry#2", "10s a resync", "11s a retry#1"},
		},
		"not exhausted while a call is due": {
			backoff: Backoff{Initial: s},
			finish:  takes(s, retry),
			script:  adds(map[time.Duration]Priority{0: Change, s / 2: Resync}),
			want:    []string{"0s a change", "1s a resync#1 +500ms"},
		},
	})
}

// TestSetBackoff also shows what Retry returns.
func TestSetBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{Backoff: Backoff{Initial: s, MaxRetries: 5}})
		defer q.ShutDown()
		q.Add("a", Change)
		for i, want := range []time.Duration{s, 2 * s, 40 * time.Millisecond, 0} {
			if _, ok := q.Get(t.Context()); !ok {
				t.Fatal("there is nothing to do")
			}
			switch i {
			case 2:
				q.SetBackoff(Backoff{Initial: 10 * time.Millisecond, MaxRetries: 5})
			case 3:
				q.SetBackoff(Backoff{MaxRetries: 2})
			}
			if delay, exhausted := q.Retry("a", 0); delay != want || exhausted != (i == 3) {
				t.Errorf("try %d: delay %s, exhausted %t, want %s", i, delay, exhausted, want)
			}
		}
	})
}
