package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// reserve calls Reserve in a goroutine, and returns when that waits or has returned.
func reserve(ctx context.Context, q *Queue[string]) <-chan bool {
	reserved := make(chan bool, 1)
	go func() { reserved <- q.Reserve(ctx) }()
	synctest.Wait()
	return reserved
}

func TestReserve(t *testing.T) {
	tests := map[string]struct {
		before, during func(*Queue[string], context.CancelFunc)
		want           bool
	}{
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
		"a reserved key is not reserved twice": {
			before: func(q *Queue[string], _ context.CancelFunc) {
				q.Add("a", Change)
				q.TryReserve()
			},
			during: func(q *Queue[string], _ context.CancelFunc) { q.Add("b", Change) },
			want:   true,
		},
		"a reservation is canceled": {
			before: func(q *Queue[string], _ context.CancelFunc) {
				q.Add("a", Change)
				q.TryReserve()
			},
			during: func(q *Queue[string], _ context.CancelFunc) { q.Cancel() },
			want:   true,
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
				reserved := reserve(ctx, q)
				if test.during != nil {
					if len(reserved) > 0 {
						t.Fatal("Reserve has not waited")
					}
					test.during(q, cancel)
				}
				if got := <-reserved; got != test.want {
					t.Errorf("Reserve returned %t, want %t", got, test.want)
				}
				if err := q.check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestGetLeavesReservedKeys has a Get come between Reserve and Take.
func TestGetLeavesReservedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{})
		defer q.ShutDown()
		q.Add("a", Initial)
		q.TryReserve()
		got := get(t.Context(), q)
		if len(got) > 0 {
			t.Fatalf("Get = %v, want it to wait: the only key is reserved", <-got)
		}
		q.Add("b", Change)
		if got := <-got; got != (outcome{"b", true}) {
			t.Errorf("Get = %v, want b", got)
		}
		if item, ok := q.Take(); !ok || item.Key != "a" {
			t.Errorf("Take = %v, %t, want a", item, ok)
		}
	})
}

// TestTakeHandsOutWhatIsMostUrgentThen also drops a key that has been reserved.
func TestTakeHandsOutWhatIsMostUrgentThen(t *testing.T) {
	q := New[string](Options{})
	q.Add("initial", Initial)
	q.Add("dropped", Retry)
	for i, want := range []bool{true, true, false} {
		if got := q.TryReserve(); got != want {
			t.Errorf("reservation %d of two keys is %t", i+1, got)
		}
	}
	q.Add("change", Change)
	q.Drop("dropped")
	for _, want := range []string{"change", "initial"} {
		if item, ok := q.Take(); !ok || item.Key != want {
			t.Errorf("Take returned %q %t, want %q", item.Key, ok, want)
		}
	}
	q.Add("last", Change)
	if !q.TryReserve() {
		t.Error("want a reservation")
	}
	q.Drop("last")
	if item, ok := q.Take(); ok {
		t.Errorf("Take returned %+v, want nothing", item)
	}
	q.Add("end", Change)
	if !q.TryReserve() {
		t.Error("want a reservation")
	}
	q.ShutDown()
	if item, ok := q.Take(); ok || q.TryReserve() {
		t.Errorf("Take returned %+v after the shutdown", item)
	}
}

// TestReservationsLoseNothing has workers reserve and take, and sometimes cancel, while keys come
// and are dropped.
func TestReservationsLoseNothing(t *testing.T) {
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
		if q.reserved != 0 {
			t.Errorf("%d reservations are left", q.reserved)
		}
		cancel()
		working.Wait()
		q.ShutDown()
	})
}
