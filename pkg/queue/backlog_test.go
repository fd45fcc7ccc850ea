package queue

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// manyKeys are more than the backlog makes ready at a time.
func manyKeys() []string {
	keys := make([]string, 4*backlogAhead)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%03d", i)
	}
	return keys
}

// drain hands out everything that is ready and ends it with success.
func drain(t *testing.T, q *Queue[string]) []Item[string] {
	t.Helper()
	var items []Item[string]
	for q.TryReserve() {
		item, ok := q.Take()
		if !ok {
			t.Fatal("a reserved key is gone")
		}
		q.Done(item.Key)
		items = append(items, item)
	}
	return items
}

func keysOf(items []Item[string]) []string {
	var keys []string
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	return keys
}

func TestAddAllHandsOutInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{})
		keys := manyKeys()
		q.AddAll(slices.Clone(keys))
		time.Sleep(time.Second)
		items := drain(t, q)
		if diff := cmp.Diff(keys, keysOf(items)); diff != "" {
			t.Errorf("handed out (-want +have):\n%s", diff)
		}
		for _, item := range items {
			if item.Priority != Initial || item.Attempt != 0 || item.Waited != time.Second {
				t.Fatalf("item %+v, want priority initial after a wait of 1s", item)
			}
		}
	})
}

// TestAddAllMemory checks that only what is about to be handed out has an entry.
func TestAddAllMemory(t *testing.T) {
	q := New[string](Options{})
	q.AddAll(manyKeys())
	for q.TryReserve() {
		if have := len(q.schedule.entries.byKey); have > backlogAhead+1 {
			t.Fatalf("%d entries", have)
		}
		item, _ := q.Take()
		q.Done(item.Key)
	}
}

// TestAddAllSkips checks that a key whose turn has not come is called once, whatever else is asked
// for meanwhile.
func TestAddAllSkips(t *testing.T) {
	last := manyKeys()[4*backlogAhead-1]
	first := manyKeys()[0]
	tests := map[string]struct {
		meanwhile func(q *Queue[string])
		calls     map[string]int
	}{
		"a change":                     {func(q *Queue[string]) { q.Add(last, Change) }, map[string]int{last: 1}},
		"a deletion":                   {func(q *Queue[string]) { q.Drop(last) }, map[string]int{last: 0}},
		"a deletion and a creation":    {func(q *Queue[string]) { q.Drop(last); q.Add(last, Change) }, map[string]int{last: 1}},
		"a change of one that is next": {func(q *Queue[string]) { q.Add(first, Change) }, map[string]int{first: 1}},
		"all again":                    {func(q *Queue[string]) { q.AddAll(manyKeys()) }, map[string]int{first: 1, last: 1}},
		"fewer":                        {func(q *Queue[string]) { q.AddAll([]string{first}) }, map[string]int{first: 1, last: 0}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			q := New[string](Options{})
			q.AddAll(manyKeys())
			tc.meanwhile(q)
			calls := map[string]int{}
			for _, key := range keysOf(drain(t, q)) {
				calls[key]++
			}
			for key, want := range tc.calls {
				if calls[key] != want {
					t.Errorf("%s was called %d times, want %d", key, calls[key], want)
				}
			}
		})
	}
}

// TestAddAllDelayed checks that a key that waits for a retry is called in its turn, as with Add.
func TestAddAllDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{Backoff: Backoff{Initial: time.Hour, Max: time.Hour, MaxRetries: -1}})
		defer q.ShutDown()
		q.Add("key-200", Change)
		item, _ := q.Get(t.Context())
		q.Retry(item.Key, 0)
		q.AddAll(manyKeys())
		items := drain(t, q)
		at := slices.Index(keysOf(items), "key-200")
		if at != 200 || items[at].Attempt != 1 {
			t.Errorf("the failed key came at %d as %+v", at, items[max(at, 0)])
		}
	})
}

// TestAddAllAges checks that changes without end do not keep the backlog waiting for ever.
func TestAddAllAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{AgeingPeriod: time.Second})
		q.AddAll(manyKeys())
		time.Sleep(10 * time.Second)
		initial := 0
		for i := range 100 {
			q.Add(fmt.Sprintf("change-%d", i), Change)
			item, _ := q.Get(t.Context())
			if q.Done(item.Key); item.Priority == Initial {
				initial++
			}
		}
		if initial < 40 {
			t.Errorf("%d of 100 calls were for the backlog, want about half", initial)
		}
	})
}

func TestAddAllDepthAndWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := 0
		q := New[string](Options{Observer: depthObserver{&depth}})
		handled := make(chan string, 2*len(manyKeys()))
		for range 3 * backlogAhead { // They all wait before there is a key.
			go func() {
				for {
					item, ok := q.Get(t.Context())
					if !ok {
						return
					}
					handled <- item.Key
					q.Done(item.Key)
				}
			}()
		}
		synctest.Wait()
		q.AddAll(manyKeys())
		synctest.Wait()
		if len(handled) != len(manyKeys()) || depth != 0 {
			t.Errorf("%d of %d keys were handled, depth %d", len(handled), len(manyKeys()), depth)
		}
		q.AddAll(manyKeys()[:2])
		synctest.Wait()
		q.ShutDown()
		synctest.Wait()
		if q.AddAll(manyKeys()); depth != 0 {
			t.Errorf("depth %d after the end", depth)
		}
	})
	depth := 0
	q := New[string](Options{Observer: depthObserver{&depth}})
	if q.AddAll(manyKeys()); depth != len(manyKeys()) {
		t.Errorf("depth %d with %d keys", depth, len(manyKeys()))
	}
	if q.ShutDown(); depth != 0 {
		t.Errorf("depth %d after the end", depth)
	}
}

// TestDropDepth drops all keys while a worker is busy: nothing is left to wait for.
func TestDropDepth(t *testing.T) {
	for name, sorted := range map[string]func([]string){"in order": func([]string) {}, "in reverse": slices.Reverse[[]string]} {
		t.Run(name, func(t *testing.T) {
			depth := 0
			q := New[string](Options{Observer: depthObserver{&depth}})
			q.AddAll(manyKeys())
			busy, _ := q.Get(t.Context())
			keys := manyKeys()
			sorted(keys)
			for _, key := range keys {
				q.Drop(key)
			}
			if stats := StatsOf(q); depth != 0 || stats != (Stats{}) {
				t.Errorf("the depth is %d and the queue holds %+v, want nothing", depth, stats)
			}
			q.Done(busy.Key)
			if q.TryReserve() {
				t.Error("a key is ready")
			}
		})
	}
}

// TestAddDepth asks for all keys of a backlog again: each counts once when they have been handled.
func TestAddDepth(t *testing.T) {
	depth := 0
	q := New[string](Options{Observer: depthObserver{&depth}})
	q.AddAll(manyKeys())
	for _, key := range manyKeys() {
		q.Add(key, Change)
	}
	if n := len(drain(t, q)); n != len(manyKeys()) || depth != 0 {
		t.Errorf("%d keys were handed out, and the depth is %d", n, depth)
	}
}

// depthObserver keeps the last depth.
type depthObserver struct{ depth *int }

func (depthObserver) Added(Priority, bool)        {}
func (depthObserver) Got(Priority, time.Duration) {}
func (o depthObserver) Depth(keys int)            { *o.depth = keys }
