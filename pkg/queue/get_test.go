package queue

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// outcome is what a Get returned.
type outcome struct {
	key string
	ok  bool
}

// get calls Get in a goroutine of its own, and returns when that waits or has returned.
func get(ctx context.Context, q *Queue[string]) <-chan outcome {
	got := make(chan outcome, 1)
	go func() {
		item, ok := q.Get(ctx)
		got <- outcome{item.Key, ok}
	}()
	synctest.Wait()
	return got
}

func TestGetEnds(t *testing.T) {
	reserved := func(q *Queue[string], _ context.CancelFunc) {
		q.Add("a", Initial)
		q.TryReserve()
	}
	tests := map[string]struct {
		before, during func(*Queue[string], context.CancelFunc)
		want           outcome
	}{
		"a key comes": {
			during: func(q *Queue[string], _ context.CancelFunc) { q.Add("a", Change) },
			want:   outcome{"a", true},
		},
		"a delayed key comes": {
			before: func(q *Queue[string], _ context.CancelFunc) { delay(q, "a", Retry, time.Hour) },
			during: func(*Queue[string], context.CancelFunc) { time.Sleep(time.Hour) },
			want:   outcome{"a", true},
		},
		"the context ends": {
			during: func(_ *Queue[string], cancel context.CancelFunc) { cancel() },
		},
		"the context has ended, with keys": {
			before: func(q *Queue[string], cancel context.CancelFunc) { q.Add("a", Change); cancel() },
		},
		"shutdown": {
			during: func(q *Queue[string], _ context.CancelFunc) { q.ShutDown() },
		},
		"shutdown before, with keys": {
			before: func(q *Queue[string], _ context.CancelFunc) { q.Add("a", Change); q.ShutDown() },
		},
		"added after shutdown": {
			before: func(q *Queue[string], _ context.CancelFunc) { q.ShutDown(); q.Add("a", Change) },
		},
		"a key that was being processed comes back": {
			before: func(q *Queue[string], _ context.CancelFunc) {
				q.Add("a", Change)
				q.Get(t.Context())
				q.Add("a", Change)
			},
			during: func(q *Queue[string], _ context.CancelFunc) { q.Done("a") },
			want:   outcome{"a", true},
		},
		"a key comes while the only one is reserved": {
			before: reserved,
			during: func(q *Queue[string], _ context.CancelFunc) { q.Add("b", Change) },
			want:   outcome{"b", true},
		},
		"the reservation of the only key is canceled": {
			before: reserved,
			during: func(q *Queue[string], _ context.CancelFunc) { q.Cancel() },
			want:   outcome{"a", true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				q := New[string](Options{})
				defer q.ShutDown()
				if test.before != nil {
					test.before(q, cancel)
				}
				got := get(ctx, q)
				if test.during != nil {
					if len(got) > 0 {
						t.Fatal("Get has not waited")
					}
					test.during(q, cancel)
				}
				if got := <-got; got != test.want {
					t.Errorf("Get = %v, want %v", got, test.want)
				}
				if err := q.check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAddWakesOneWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{})
		defer q.ShutDown()
		var got []<-chan outcome
		for range 8 {
			got = append(got, get(t.Context(), q))
		}
		before := slices.Clone(q.schedule.waiters.waiting)
		q.Add("a", Change)
		delay(q, "b", Change, s)
		sleep(s)
		// A worker that had been woken for nothing would have left its place and come back to the
		// end.
		if after := q.schedule.waiters.waiting; !slices.Equal(after, before[:6]) {
			t.Errorf("%d workers are at their places, want the first 6 of 8", len(after))
		}
		for i, want := range []string{6: "b", 7: "a"} {
			if want != "" {
				if got := <-got[i]; got != (outcome{want, true}) {
					t.Errorf("worker %d got %v, want %s", i, got, want)
				}
			}
		}
	})
}

func TestWakeUpIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{})
		defer q.ShutDown()
		// Often enough for the worker to see both first, the wake-up and the end of its context.
		for range 50 {
			stays := get(t.Context(), q)
			ctx, cancel := context.WithCancel(t.Context())
			leaves := get(ctx, q)

			// The worker whose context has ended is woken for a key before it can tell.
			q.mu.Lock()
			cancel()
			q.schedule.add(q.schedule.entries.findOrCreate("a"), Change, 0, q.schedule.now())
			q.mu.Unlock()

			if got := <-leaves; got.ok {
				t.Errorf("Get with an ended context = %v", got)
			}
			if got := <-stays; got != (outcome{"a", true}) {
				t.Errorf("the other Get = %v, want a", got)
			}
			q.Done("a")
			if err := q.check(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestLateTimer has a timer that does not fire: what is due must not depend on when its goroutine
// runs.
func TestLateTimer(t *testing.T) {
	for name, next := range map[string]func(*Queue[string]) (Item[string], bool){
		"get":  func(q *Queue[string]) (Item[string], bool) { return q.Get(t.Context()) },
		"add":  func(q *Queue[string]) (Item[string], bool) { q.Add("a", Resync); return q.Get(t.Context()) },
		"take": func(q *Queue[string]) (Item[string], bool) { return q.Take() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := New[string](Options{})
				defer q.ShutDown()
				q.Add("reserved", Initial)
				q.TryReserve()
				delay(q, "a", Requeue, s)
				q.schedule.timer.timer.Stop()
				time.Sleep(2 * s)
				want := Item[string]{Key: "a", Priority: Requeue, Waited: s}
				if item, ok := next(q); !ok || item != want {
					t.Errorf("have %+v, %t, want %+v", item, ok, want)
				}
			})
		})
	}
}

func TestShutDownStopsTheTimer(t *testing.T) {
	q := New[string](Options{})
	delay(q, "a", Change, time.Hour)
	q.ShutDown()
	q.ShutDown()
	if q.schedule.timer.timer.Stop() {
		t.Error("the timer still ran")
	}
}
