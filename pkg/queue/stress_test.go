package queue

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stress is a crowd of workers and producers on one queue, and what each key has seen.
type stress struct {
	q         *Queue[int]
	drops     bool           // keys are dropped now and then
	version   []atomic.Int64 // how often the key was added
	seen      []atomic.Int64 // the version at the start of its last call
	processed []atomic.Int32
	overlaps  atomic.Int64
	calls     atomic.Int64
}

func (c *stress) add(key int, p Priority) {
	c.version[key].Add(1)
	c.q.Add(key, p)
}

func (c *stress) produce(random *rand.Rand, adds int) {
	for range adds {
		c.add(random.IntN(len(c.version)), Priority(random.IntN(priorities)))
		if random.IntN(8) == 0 {
			time.Sleep(time.Duration(random.Int64N(int64(s / 10))))
		}
		if c.drops && random.IntN(8) == 0 {
			c.q.Drop(random.IntN(len(c.version)))
		}
	}
}

// next gets a key in one of the two ways. A reservation is sometimes canceled.
func (c *stress) next(ctx context.Context, random *rand.Rand) (Item[int], bool) {
	if random.IntN(2) == 0 {
		return c.q.Get(ctx)
	}
	for c.q.Reserve(ctx) {
		if random.IntN(3) == 0 {
			c.q.Cancel()
			continue
		}
		time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
		if item, ok := c.q.Take(); ok {
			return item, true
		}
	}
	return Item[int]{}, false
}

func (c *stress) work(ctx context.Context, random *rand.Rand) {
	for {
		item, ok := c.next(ctx, random)
		if !ok {
			return
		}
		c.calls.Add(1)
		if c.processed[item.Key].Add(1) > 1 {
			c.overlaps.Add(1)
		}
		c.seen[item.Key].Store(c.version[item.Key].Load())
		if random.IntN(4) == 0 {
			time.Sleep(time.Duration(random.Int64N(int64(s / 10))))
		}
		c.processed[item.Key].Add(-1)
		switch random.IntN(5) {
		case 0:
			c.q.Retry(item.Key, 0)
		case 1:
			c.q.Requeue(item.Key, time.Duration(random.Int64N(int64(s))))
		default:
			c.q.Done(item.Key)
		}
	}
}

// workBriefly is work with a context that soon ends.
func (c *stress) workBriefly(ctx context.Context, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(random.Int64N(int64(s/50))))
	defer cancel()
	c.work(ctx, random)
}

// TestStress has many workers and producers, of which some workers come and go: no key is with two
// workers, after the last add of each key there is a call that starts later, and each accepted add
// makes one call, if none is dropped.
func TestStress(t *testing.T) {
	for name, drops := range map[string]bool{"every add counts": false, "with drops": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runStress(t, drops) })
		})
	}
}

func runStress(t *testing.T, drops bool) {
	t.Helper()
	const keys, workers, producers, adds = 60, 8, 6, 3000
	counts := &counter{}
	c := &stress{
		q:       New[int](Options{AgeingPeriod: s, Backoff: Backoff{Max: s, MaxRetries: 5}, Observer: counts}),
		drops:   drops,
		version: make([]atomic.Int64, keys), seen: make([]atomic.Int64, keys), processed: make([]atomic.Int32, keys),
	}
	var crowd, producing sync.WaitGroup
	var produced atomic.Bool
	for i := range uint64(workers) {
		crowd.Go(func() { c.work(t.Context(), rand.New(rand.NewPCG(i, 3))) })
		crowd.Go(func() {
			for random := rand.New(rand.NewPCG(i, 4)); !produced.Load(); {
				c.workBriefly(t.Context(), random)
			}
		})
	}
	for i := range uint64(producers) {
		producing.Go(func() { c.produce(rand.New(rand.NewPCG(i, 5)), adds) })
	}
	producing.Wait()
	for key := range keys {
		c.add(key, Change)
	}
	produced.Store(true)
	time.Sleep(time.Hour)
	if err := c.q.check(); err != nil {
		t.Error(err)
	}
	if n := len(c.q.schedule.entries.byKey); n != 0 || c.q.reserved != 0 {
		t.Errorf("%d keys and %d reservations are left", n, c.q.reserved)
	}
	c.q.ShutDown()
	crowd.Wait()

	for key := range keys {
		if seen, want := c.seen[key].Load(), c.version[key].Load(); seen != want {
			t.Errorf("key %d was last called at version %d, want %d", key, seen, want)
		}
	}
	if n := c.overlaps.Load(); n != 0 {
		t.Errorf("%d calls overlapped one for the same key", n)
	}
	if calls := int(c.calls.Load()); calls != counts.got || !drops && calls != counts.calls() {
		t.Errorf("%d calls, want %d, %d observed", calls, counts.calls(), counts.got)
	}
}

// counter is an Observer that counts.
type counter struct {
	added     [priorities]int
	coalesced [priorities]int
	got       int
	depth     int
	waited    time.Duration
}

func (c *counter) Added(p Priority, coalesced bool) {
	c.added[p]++
	if coalesced {
		c.coalesced[p]++
	}
}

func (c *counter) Got(_ Priority, waited time.Duration) {
	c.got++
	c.waited += waited
}

func (c *counter) Depth(keys int) { c.depth = keys }

// calls is how many calls the adds have asked for.
func (c *counter) calls() int {
	n := 0
	for p := range c.added {
		n += c.added[p] - c.coalesced[p]
	}
	return n
}
