package queue

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAged(t *testing.T) {
	for name, test := range map[string]struct {
		priority Priority
		waited   time.Duration
		want     Priority
	}{
		"almost a period":  {Initial, 10*s - 1, Initial},
		"a period":         {Initial, 10 * s, Resync},
		"three periods":    {Initial, 39 * s, Retry},
		"four periods":     {Initial, 40 * s, Change},
		"no more":          {Initial, 1<<63 - 1, Change},
		"change stays":     {Change, time.Hour, Change},
		"retry is next to": {Retry, 10 * s, Change},
	} {
		if got := test.priority.aged(test.waited, 10*s); got != test.want {
			t.Errorf("%s: %v after %v counts as %v, want %v", name, test.priority, test.waited, got, test.want)
		}
	}
}

func TestAgeing(t *testing.T) {
	add := func(q *Queue[string], p Priority, keys ...string) {
		for _, key := range keys {
			q.Add(key, p)
		}
	}
	tests := map[string]struct {
		script func(*Queue[string])
		want   []string
	}{
		"an aged key takes turns with its new class": {
			script: func(q *Queue[string]) {
				add(q, Initial, "i1", "i2", "i3")
				sleep(40 * s)
				add(q, Change, "c1", "c2", "c3", "c4", "c5")
			},
			want: []string{"c1", "i1", "c2", "i2", "c3", "i3", "c4", "c5"},
		},
		"a key that has aged less than that does not": {
			script: func(q *Queue[string]) {
				add(q, Initial, "i1")
				add(q, Resync, "s1")
				sleep(25 * s)
				add(q, Change, "c1")
				add(q, Retry, "t1")
				add(q, Requeue, "q1", "q2")
			},
			want: []string{"c1", "t1", "s1", "q1", "i1", "q2"},
		},
		"a less urgent add does not set an aged key back": {
			script: func(q *Queue[string]) {
				add(q, Initial, "i1")
				sleep(30 * s)
				add(q, Resync, "s1")
				add(q, Requeue, "q1", "i1")
			},
			want: []string{"i1", "q1", "s1"},
		},
		"a more urgent add takes a key out of an aged backlog": {
			script: func(q *Queue[string]) {
				add(q, Initial, "i0", "i1", "i2", "i3", "i4")
				sleep(time.Hour)
				add(q, Change, "i3")
			},
			want: []string{"i3", "i0", "i1", "i2", "i4"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := New[string](Options{AgeingPeriod: 10 * s})
				defer q.ShutDown()
				test.script(q)
				var got []string
				for q.readyLen() > 0 {
					item, _ := q.Get(t.Context())
					got = append(got, item.Key)
					q.Done(item.Key)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("order (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestNothingStarves has calls of up to a second each, for each of which at least one more change
// comes in, while old keys of all other classes stand in the queue and are added again and again.
func TestNothingStarves(t *testing.T) {
	const period, oldKeys, rounds = 20 * s, 30, 2000
	// Each of the at most three more urgent adds may make a key age anew, from a class that is
	// nearer to the top: 4+3+2+1 periods. From there on each call of up to a second brings it
	// forward in turn with the other classes.
	const bound = 10*period + oldKeys*time.Duration(priorities)*s
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			old := func() Priority { return Retry + Priority(random.IntN(priorities-1)) }
			q := New[int](Options{AgeingPeriod: period})
			defer q.ShutDown()
			for key := range oldKeys {
				q.Add(key, old())
			}
			for next := oldKeys; next < oldKeys+rounds; {
				for range 1 + random.IntN(2) {
					q.Add(next, Change)
					next++
				}
				if random.IntN(4) == 0 {
					q.Add(random.IntN(oldKeys), old())
				}
				item, _ := q.Get(t.Context())
				if item.Key < oldKeys && item.Waited > bound {
					t.Fatalf("seed %d: key %d waited %v, want at most %v", seed, item.Key, item.Waited, bound)
				}
				time.Sleep(time.Duration(random.Int64N(int64(s))))
				q.Done(item.Key)
			}
			for key := range oldKeys {
				if e := q.schedule.entries.find(key); e != nil && q.schedule.now()-e.added > bound {
					t.Fatalf("seed %d: key %d still waits after %v, want at most %v", seed, key, q.schedule.now()-e.added, bound)
				}
			}
		})
	}
}

// TestChangesPassAnAgedBacklog has a change now and then, which waits for a few calls, however many
// old keys there are.
func TestChangesPassAnAgedBacklog(t *testing.T) {
	const oldKeys, rounds = 10_000, 2000
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(6, 1))
		q := New[int](Options{})
		defer q.ShutDown()
		for key := range oldKeys {
			q.Add(key, Retry+Priority(key%(priorities-1)))
		}
		time.Sleep(time.Hour)
		changed := false
		for next := oldKeys; next < oldKeys+rounds; next++ {
			if !changed && random.IntN(4) == 0 {
				q.Add(next, Change)
				changed = true
			}
			item, _ := q.Get(t.Context())
			if item.Priority == Change {
				changed = false
				if item.Waited > time.Duration(priorities-1)*s {
					t.Fatalf("a change waited for %v, want at most for a call of each other class", item.Waited)
				}
			}
			time.Sleep(s)
			q.Done(item.Key)
		}
	})
}
