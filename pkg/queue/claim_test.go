package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// claim calls Claim in a goroutine of its own, and returns when that waits or has returned.
func claim(ctx context.Context, q *Queue[string]) <-chan bool {
	claimed := make(chan bool, 1)
	go func() { claimed <- q.Reserve(ctx) }()
	synctest.Wait()
	return claimed
}

func TestClaim(t *testing.T) {
	tests := map[string]struct {
		before, during func(*Queue[string], context.CancelFunc)
		want           bool
	}{
		"a key is there": {
			before: func(q *Queue[string], _ context.CancelFunc) { q.Add("a", Change) },
			want:   true,
		},
		"a key comes": {
			during: func(q *Queue[string], _ context.CancelFunc) { q.Add("a", Initial) },
			want:   true,
		},
		"a delayed key comes": {
			before: func(q *Queue[string], _ context.CancelFunc) { q.AddAfter("a", Retry, time.Hour) },
			during: func(*Queue[string], context.CancelFunc) { time.Sleep(time.Hour) },
			want:   true,
		},
		"a key that was being processed comes back": {
			before: func(q *Queue[string], _ context.CancelFunc) {
				q.Add("a", Change)
				q.TryReserve()
				q.Take()
				q.Add("a", Change)
			},
			during: func(q *Queue[string], _ context.CancelFunc) { q.Done("a") },
			want:   true,
		},
		"a claimed key is not claimed twice": {
			before: func(q *Queue[string], _ context.CancelFunc) {
				q.Add("a", Change)
				q.TryReserve()
			},
			during: func(q *Queue[string], _ context.CancelFunc) { q.Add("b", Change) },
			want:   true,
		},
		"a claim is waived": {
			before: func(q *Queue[string], _ context.CancelFunc) {
				q.Add("a", Change)
				q.TryReserve()
			},
			during: func(q *Queue[string], _ context.CancelFunc) { q.Cancel() },
			want:   true,
		},
		"the context ends": {
			during: func(_ *Queue[string], cancel context.CancelFunc) { cancel() },
		},
		"the context has ended, with keys": {
			before: func(q *Queue[string], cancel context.CancelFunc) {
				q.Add("a", Change)
				cancel()
			},
		},
		"shutdown": {
			during: func(q *Queue[string], _ context.CancelFunc) { q.ShutDown() },
		},
		"shutdown before, with keys": {
			before: func(q *Queue[string], _ context.CancelFunc) {
				q.Add("a", Change)
				q.ShutDown()
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := New[string](Options{})
				defer q.ShutDown()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.before != nil {
					test.before(q, cancel)
				}
				claimed := claim(ctx, q)
				if test.during != nil {
					if len(claimed) > 0 {
						t.Fatal("Claim has not waited")
					}
					test.during(q, cancel)
				}
				if got := <-claimed; got != test.want {
					t.Errorf("Claim returned %t, want %t", got, test.want)
				}
				if err := q.check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestRedeemHandsOutWhatIsMostUrgentThen also drops a key that has been claimed.
func TestRedeemHandsOutWhatIsMostUrgentThen(t *testing.T) {
	q := New[string](Options{})
	q.Add("initial", Initial)
	q.Add("dropped", Retry)
	for i, want := range []bool{true, true, false} {
		if got := q.TryReserve(); got != want {
			t.Errorf("claim %d of two keys is %t", i+1, got)
		}
	}
	q.Add("change", Change)
	q.Drop("dropped")
	for _, want := range []string{"change", "initial"} {
		if item, ok := q.Take(); !ok || item.Key != want {
			t.Errorf("Redeem returned %q %t, want %q", item.Key, ok, want)
		}
	}
	q.Add("last", Change)
	if !q.TryReserve() {
		t.Error("want a claim")
	}
	q.Drop("last")
	if item, ok := q.Take(); ok {
		t.Errorf("Redeem returned %+v, want nothing", item)
	}
	q.Add("end", Change)
	if !q.TryReserve() {
		t.Error("want a claim")
	}
	q.ShutDown()
	if item, ok := q.Take(); ok || q.TryReserve() {
		t.Errorf("Redeem returned %+v after the shutdown", item)
	}
}

// TestClaimPassesItsWakeUpOn ends the context of a Claim at the moment at which it is woken for a key.
func TestClaimPassesItsWakeUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{})
		defer q.ShutDown()
		second := claim(t.Context(), q)
		ctx, cancel := context.WithCancel(t.Context())
		first := claim(ctx, q)
		q.mu.Lock() // The wake-up and the end come while the queue is locked, so the Claim sees both.
		cancel()
		q.add(q.table.findOrCreate("a"), Change, 0, q.now())
		q.mu.Unlock()
		if <-first || !<-second {
			t.Error("the wake-up was lost")
		}
	})
}

// TestClaimsLoseNothing has workers claim and redeem, and sometimes waive, while keys come and are dropped.
func TestClaimsLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[int](Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var handled [50]atomic.Int32
		var working sync.WaitGroup
		for w := range 6 {
			working.Go(func() {
				for n := w; q.Reserve(ctx); n++ {
					if n%3 == 0 {
						q.Cancel()
						continue
					}
					time.Sleep(time.Duration(n%5) * time.Millisecond)
					item, ok := q.Take()
					if !ok {
						continue
					}
					time.Sleep(time.Duration(n%7) * time.Millisecond)
					handled[item.Key].Add(1)
					q.Done(item.Key)
				}
			})
		}
		for i := range 2000 {
			q.Add(i%50, Priority(i%5))
			if i%11 == 0 {
				q.Drop((i + 7) % 50)
			}
			time.Sleep(time.Duration(i%4) * time.Millisecond)
		}
		for i := range handled {
			handled[i].Store(0)
			q.Add(i, Change)
		}
		time.Sleep(time.Minute)
		for i := range handled {
			if handled[i].Load() == 0 {
				t.Errorf("%d was not handled after its last add", i)
			}
		}
		if q.claims != 0 {
			t.Errorf("%d claims are left", q.claims)
		}
		cancel()
		working.Wait()
		q.ShutDown()
	})
}
