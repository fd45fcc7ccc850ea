package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
)

// crew is a definition without a cluster: workers that take objects from a throttledQueue and call
// a function.
type crew struct {
	t     *testing.T
	begin time.Time
	queue *queue.Queue[kube.Key]
	wait  func()

	mu    sync.Mutex
	calls []string // "name at"
	now   map[kube.Key]bool
}

// hire starts the workers; they end with ctx.
func hire(ctx context.Context, t *testing.T, workers int, l *limits, handle func(ctx context.Context, name string)) *crew {
	c := &crew{t: t, begin: time.Now(), queue: queue.New[kube.Key](queue.Options{}), now: map[kube.Key]bool{}}
	var working sync.WaitGroup
	for range workers {
		working.Go(func() { c.work(ctx, l, handle) })
	}
	c.wait = func() {
		t.Helper()
		working.Wait()
		c.queue.ShutDown()
	}
	return c
}

func (c *crew) work(ctx context.Context, l *limits, handle func(context.Context, string)) {
	tq := throttledQueue{queue: c.queue, limits: l}
	defer tq.releaseSlot()
	for {
		item, ok := tq.next(ctx)
		if !ok {
			return
		}
		gone := item.Key.Namespace == "gone"
		if gone {
			tq.abort()
			c.queue.Done(item.Key)
			continue
		}
		tq.commit()
		c.mu.Lock()
		if c.now[item.Key] {
			c.t.Errorf("two workers at %s", item.Key.Name)
		}
		c.now[item.Key] = true
		c.calls = append(c.calls, fmt.Sprintf("%s %s", item.Key.Name, time.Since(c.begin)))
		c.mu.Unlock()
		if handle != nil {
			handle(ctx, item.Key.Name)
		}
		c.mu.Lock()
		delete(c.now, item.Key)
		c.mu.Unlock()
		c.queue.Done(item.Key)
	}
}

// add adds names with one priority.
func (c *crew) add(p queue.Priority, names ...string) {
	for _, name := range names {
		c.queue.Add(kube.Key{Name: name}, p)
	}
}

func (c *crew) expect(want ...string) {
	c.t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(want, c.calls); diff != "" {
		c.t.Errorf("calls (-want +have):\n%s", diff)
	}
	c.calls = nil
}

func rateLimits(perSecond float64, burst int) *limits {
	return newLimits(newRate(config.Rate{PerSecond: perSecond, Burst: burst}), nil)
}

func TestThrottledQueueHoldsNoTokensIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := hire(ctx, t, 10, rateLimits(1, 2), nil)
		time.Sleep(time.Hour) // Ten workers wait for an hour; they must not have ten tokens then.
		c.add(queue.Change, "a", "b", "c", "d")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		slices.Sort(c.calls) // Several workers begin at one moment.
		c.expect("a 1h0m0s", "b 1h0m0s", "c 1h0m1s", "d 1h0m2s")
		cancel()
		c.wait()
	})
}

func TestThrottledQueueTakesWhatIsMostUrgentThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := hire(ctx, t, 5, rateLimits(1, 1), nil)
		c.add(queue.Initial, "old-1", "old-2", "old-3")
		time.Sleep(900 * time.Millisecond)
		c.add(queue.Change, "fresh") // The wait for the token began for old-2.
		time.Sleep(200 * time.Millisecond)
		c.add(queue.Change, "dropped")
		c.queue.Drop(kube.Key{Name: "dropped"})
		time.Sleep(3 * time.Second)
		c.expect("old-1 0s", "fresh 1s", "old-2 2s", "old-3 3s")
		cancel()
		c.wait()
	})
}

func TestThrottledQueueTakesNoTokenForWhatIsNotHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		pool := newFairSemaphore(1)
		l := rateLimits(1, 1)
		l.slots = joined(pool)
		c := hire(ctx, t, 3, l, nil)
		for i := range 20 {
			c.queue.Add(kube.Key{Namespace: "gone", Name: fmt.Sprint(i)}, queue.Change)
		}
		c.add(queue.Change, "a", "b")
		time.Sleep(500 * time.Millisecond)
		c.queue.Drop(kube.Key{Name: "b"}) // Everything that a token was awaited for goes; the next object has it.
		time.Sleep(time.Hour)
		c.add(queue.Change, "c", "d")
		time.Sleep(time.Second)
		c.expect("a 0s", "c 1h0m0.5s", "d 1h0m1.5s")
		if pool.free() != 1 {
			t.Errorf("%d slots are free, want 1", pool.free())
		}
		cancel()
		c.wait()
	})
}

func TestThrottledQueueEndsAtOnce(t *testing.T) {
	tests := map[string]func(t *testing.T) *limits{
		"no limits": func(*testing.T) *limits { return newLimits(nil, nil) },
		"waiting for an object": func(*testing.T) *limits {
			return rateLimits(1000, 1000)
		},
		"waiting for a token": func(*testing.T) *limits {
			l := rateLimits(0.001, 1)
			if l.rate.tryReserve() {
				l.rate.take()
			}
			return l
		},
		"waiting for a slot": func(t *testing.T) *limits {
			pool := newFairSemaphore(1)
			if !joined(pool).acquire(t.Context()) {
				t.Error("no slot")
			}
			return newLimits(nil, joined(pool))
		},
	}
	for name, makeLimits := range tests {
		for end, how := range map[string]func(*crew, context.CancelFunc){
			"context":  func(_ *crew, cancel context.CancelFunc) { cancel() },
			"shutdown": func(c *crew, cancel context.CancelFunc) { c.queue.ShutDown(); cancel() },
		} {
			t.Run(name+"/"+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					l := makeLimits(t)
					c := hire(ctx, t, 4, l, nil)
					if name != "waiting for an object" && name != "no limits" {
						c.add(queue.Change, "a", "b")
					}
					synctest.Wait()
					how(c, cancel)
					c.wait()
					if took := time.Since(c.begin); took != 0 {
						t.Errorf("the workers ended after %s", took)
					}
					c.expect()
				})
			})
		}
	}
}

// TestThrottledQueueIsLimitedLater limits the number of calls while all workers wait for an object,
// and takes the limit away again.
func TestThrottledQueueIsLimitedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		pool := newFairSemaphore(0)
		c := hire(ctx, t, 5, newLimits(nil, joined(pool)), func(context.Context, string) { time.Sleep(time.Second) })
		for _, step := range []struct {
			total int
			want  map[string]int // how many calls begin, by when
		}{
			{0, map[string]int{"0s": 5}},
			{2, map[string]int{"1m0s": 2, "1m1s": 2, "1m2s": 1}},
			{0, map[string]int{"2m0s": 5}},
			{1, map[string]int{"3m0s": 1, "3m1s": 1, "3m2s": 1, "3m3s": 1, "3m4s": 1}},
		} {
			synctest.Wait()
			pool.setTotal(step.total)
			c.add(queue.Change, "a", "b", "c", "d", "e")
			time.Sleep(time.Minute)
			have := map[string]int{}
			c.mu.Lock()
			for _, call := range c.calls {
				have[strings.Fields(call)[1]]++
			}
			c.calls = nil
			c.mu.Unlock()
			if diff := cmp.Diff(step.want, have); diff != "" {
				t.Errorf("with %d slots calls begin (-want +have):\n%s", step.total, diff)
			}
		}
		cancel()
		c.wait()
		if pool.inUse != 0 {
			t.Errorf("%d slots are in use", pool.inUse)
		}
	})
}

func TestThrottledTimeShowsWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := rateLimits(0.01, 1)
		c := hire(ctx, t, 2, l, nil)
		time.Sleep(time.Minute)
		c.add(queue.Change, "a")
		synctest.Wait()
		for _, want := range []time.Duration{0, 30 * time.Second, 60 * time.Second} {
			if have := l.rateWaits.read(); have != want {
				t.Errorf("throttled for %s, want %s", have, want)
			}
			c.add(queue.Change, "b")
			time.Sleep(30 * time.Second)
		}
		time.Sleep(time.Hour)
		if have, want := l.rateWaits.read(), 100*time.Second; have != want {
			t.Errorf("throttled for %s, want %s", have, want)
		}
		cancel()
		c.wait()
	})
}

// TestThrottledQueueKeepsTheRate has many workers handle many objects for uneven times, and
// compares every span of time with the rate.
func TestThrottledQueueKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, burst = 7, 5
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var begun []time.Time
		c := hire(ctx, t, 8, rateLimits(perSecond, burst), func(ctx context.Context, name string) {
			mu.Lock()
			begun = append(begun, time.Now())
			n := len(begun)
			mu.Unlock()
			time.Sleep(time.Duration(n*n%13) * 100 * time.Millisecond)
		})
		for i := range 300 {
			c.add(queue.Priority(i%5), fmt.Sprint(i%40))
			time.Sleep(time.Duration(i*i%7) * 50 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		cancel()
		c.wait()
		slices.SortFunc(begun, time.Time.Compare)
		for i := range begun {
			for j := i; j < len(begun); j++ {
				if most := burst + perSecond*begun[j].Sub(begun[i]).Seconds(); float64(j-i+1) > most {
					t.Fatalf("%d calls within %s, want at most %f", j-i+1, begun[j].Sub(begun[i]), most)
				}
			}
		}
		if len(begun) < 200 {
			t.Errorf("%d calls, want most of 300", len(begun))
		}
	})
}
