package queue

import "testing"

// TestTake hands out what is the most urgent by then, and nothing that is gone.
func TestTake(t *testing.T) {
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
	for _, end := range []func(){func() { q.Drop("last") }, q.ShutDown} {
		q.Add("last", Change)
		if !q.TryReserve() {
			t.Error("want a reservation")
		}
		end()
		if item, ok := q.Take(); ok || q.TryReserve() {
			t.Errorf("Take returned %+v, %t, want nothing", item, ok)
		}
	}
}
