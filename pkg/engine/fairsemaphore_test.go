package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kooperd.dev/kooperd/pkg/queue"
)

// semaphore makes a semaphore with so many slots and clients.
func semaphore(total, clients int) (*fairSemaphore, []*client) {
	s := newFairSemaphore(total)
	all := make([]*client, clients)
	for i := range all {
		all[i] = joined(s)
	}
	return s, all
}

// joined is another client.
func joined(s *fairSemaphore) *client {
	c := s.newClient()
	c.join()
	return c
}

// held acquires so many slots, which must be free.
func held(t *testing.T, d *client, n int) {
	t.Helper()
	for range n {
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan bool, 1)
		go func() { got <- d.acquire(ctx) }()
		synctest.Wait()
		if len(got) == 0 {
			cancel()
			<-got
			t.Fatal("a slot is not free")
		}
		cancel()
		<-got
	}
}

// refused wants no slot for d at this moment.
func refused(t *testing.T, d *client) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan bool, 1)
	go func() { got <- d.acquire(ctx) }()
	synctest.Wait()
	cancel()
	if <-got {
		t.Error("a slot was given that should be kept for others")
	}
}

func TestSemaphoreSlotsAreKeptForOthers(t *testing.T) {
	tests := map[string]struct {
		total, definitions int
		most               int // that one definition gets alone
		first              int // how many others get their first one after that
	}{
		"one definition":              {4, 1, 4, 0},
		"one for each":                {10, 3, 8, 2},
		"as many as definitions":      {3, 3, 1, 2},
		"fewer than definitions":      {4, 10, 2, 2},
		"fewer, an odd number":        {5, 10, 3, 2},
		"one for all":                 {1, 5, 1, 0},
		"one less than definitions":   {9, 10, 5, 4},
		"many more than definitions":  {100, 2, 99, 1},
		"two for three":               {2, 3, 1, 1},
		"a single one for a single 1": {1, 1, 1, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool, clients := semaphore(test.total, test.definitions)
				greedy := clients[0]
				held(t, greedy, test.most)
				refused(t, greedy)
				for _, other := range clients[1:][:test.first] {
					held(t, other, 1)
				}
				if pool.free() != test.total-test.most-test.first {
					t.Errorf("%d slots are free", pool.free())
				}
				refused(t, greedy)
			})
		})
	}
}

// TestSemaphoreSlotsInTurn has one definition hold everything, and then looks at who gets what it
// gives back.
func TestSemaphoreSlotsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, clients := semaphore(6, 3)
		a, b, c := clients[0], clients[1], clients[2]
		names := map[*client]string{a: "a", b: "b", c: "c"}
		held(t, a, 4)
		held(t, b, 1)
		held(t, c, 1)
		var mu sync.Mutex
		order := ""
		var waiting sync.WaitGroup
		for _, d := range []*client{a, b, c} { // Each wants ever more, one at a time.
			waiting.Go(func() {
				for d.acquire(t.Context()) {
					mu.Lock()
					order += names[d]
					done := len(order) >= 6
					mu.Unlock()
					if done {
						return
					}
				}
			})
			synctest.Wait()
		}
		for _, step := range []struct {
			back *client
			want string
		}{{a, "b"}, {a, "bc"}, {a, "bca"}, {b, "bcab"}, {c, "bcabc"}, {b, "bcabcb"}} {
			step.back.release()
			synctest.Wait()
			mu.Lock()
			if order != step.want {
				t.Fatalf("slots went to %q, want %q; a has %d, b %d, c %d", order, step.want, a.held, b.held, c.held)
			}
			mu.Unlock()
		}
	})
}

// TestSemaphoreSlotsUnderRandomLoad checks, at every call, what docs/decisions/0012 promises.
func TestSemaphoreSlotsUnderRandomLoad(t *testing.T) {
	for _, size := range []struct{ total, definitions int }{{1, 4}, {2, 3}, {3, 7}, {5, 20}, {8, 8}, {9, 8}, {20, 6}} {
		t.Run(fmt.Sprintf("%d for %d", size.total, size.definitions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool, clients := semaphore(size.total, size.definitions)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				random := rand.New(rand.NewPCG(1, uint64(size.total)))
				var crews []*crew
				for _, client := range clients {
					slow := time.Duration(1+random.IntN(1000)) * time.Millisecond
					crews = append(crews, hire(ctx, t, 1+random.IntN(6), newLimits(nil, client), func(ctx context.Context, _ string) {
						pool.check(t)
						wait := time.NewTimer(slow)
						defer wait.Stop()
						select {
						case <-wait.C:
						case <-ctx.Done():
						}
					}))
				}
				for ctx.Err() == nil {
					for range random.IntN(2 * size.definitions) {
						crews[random.IntN(len(crews))].add(queue.Change, fmt.Sprint(random.IntN(10)))
					}
					time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
					synctest.Wait()
					pool.check(t)
				}
				for i, c := range crews {
					c.wait()
					if len(c.calls) == 0 {
						t.Errorf("definition %d was never called", i)
					}
				}
				if pool.inUse != 0 || pool.busy != 0 {
					t.Errorf("at the end %d slots are in use, %d definitions busy", pool.inUse, pool.busy)
				}
			})
		})
	}
}

// check fails the test when a promise is broken at this moment.
func (s *fairSemaphore) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	idle, free := s.clients-s.busy, s.free()
	switch {
	case free < 0 || free > s.total:
		t.Errorf("%d of %d slots are free", free, s.total)
	case s.total >= s.clients && free < idle:
		t.Errorf("%d slots are free for %d definitions without one", free, idle)
	}
	for _, d := range s.waiting {
		if d.held == 0 && free > 0 {
			t.Errorf("%d slots are free and a definition without one waits", free)
		}
		if d.held == 0 && s.busy <= s.total/2 {
			t.Errorf("a definition without a slot waits while only %d others have some of the %d", s.busy, s.total)
		}
		if free > idle && free > 0 {
			t.Errorf("%d slots are free, %d definitions have none, and one waits", free, idle)
		}
	}
}

// TestSlowDefinitionDelaysNobody lets one definition have calls without end, of which it wants as
// many as it can get.
func TestSlowDefinitionDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, clients := semaphore(8, 3)
		stuck := hire(ctx, t, 256, newLimits(nil, clients[0]), func(ctx context.Context, _ string) { <-ctx.Done() })
		other := newLimits(nil, clients[1])
		quick := hire(ctx, t, 4, other, func(context.Context, string) { time.Sleep(time.Millisecond) })
		for i := range 1000 {
			stuck.add(queue.Change, fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		stuck.mu.Lock()
		if n := len(stuck.calls); n != 6 {
			t.Errorf("the stuck definition has %d calls, want 6 of 8: two are kept for the others", n)
		}
		stuck.mu.Unlock()
		for i := range 1000 { // One object at a time: each must be called at once.
			name := fmt.Sprint(i)
			quick.add(queue.Change, name)
			quick.expect(fmt.Sprintf("%s %s", name, time.Since(quick.begin)))
			time.Sleep(2 * time.Millisecond)
		}
		if waited := other.slotWaits.read(); waited != 0 {
			t.Errorf("the other definition has waited %s for slots", waited)
		}
		cancel()
		stuck.wait()
		quick.wait()
	})
}

// TestSemaphoreSlotsAreSharedEvenly has two definitions that both want everything.
func TestSemaphoreSlotsAreSharedEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, clients := semaphore(10, 2)
		begin := func(d *client, name string, each time.Duration) *crew {
			var c *crew
			c = hire(ctx, t, 50, newLimits(nil, d), func(ctx context.Context, _ string) {
				time.Sleep(each)
				c.add(queue.Change, fmt.Sprint(rand.Uint64()))
			})
			for i := range 100 {
				c.add(queue.Change, fmt.Sprintf("%s-%d", name, i))
			}
			return c
		}
		slow, fast := clients[0], clients[1]
		first := begin(slow, "slow", 10*time.Second)
		time.Sleep(time.Second)
		second := begin(fast, "fast", 10*time.Millisecond)
		time.Sleep(time.Minute)
		synctest.Wait()
		if slow.held != 5 || fast.held != 5 {
			t.Errorf("after a minute the slow definition has %d slots, the fast one %d, want 5 and 5", slow.held, fast.held)
		}
		cancel()
		first.wait()
		second.wait()
	})
}

func TestSlotThatComesWithTheEndIsGivenBack(t *testing.T) {
	for range 200 { // Which of the two a select sees is left to chance.
		synctest.Test(t, func(t *testing.T) {
			pool, clients := semaphore(1, 2)
			a, b := clients[0], clients[1]
			held(t, a, 1)
			ctx, cancel := context.WithCancel(t.Context())
			got := make(chan bool, 1)
			go func() { got <- b.acquire(ctx) }()
			synctest.Wait()
			pool.mu.Lock()
			cancel()
			a.giveBack()
			pool.grant()
			pool.mu.Unlock()
			want := 1
			if <-got {
				want = 0
			}
			if pool.free() != want || b.held != 1-want {
				t.Fatalf("%d slots are free, b has %d", pool.free(), b.held)
			}
		})
	}
}

// TestSemaphoreChanges adds and removes clients and slots while slots are held.
func TestSemaphoreChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, clients := semaphore(4, 1)
		a := clients[0]
		held(t, a, 3)
		b := joined(s)
		refused(t, a) // The last one is reserved for b.
		held(t, b, 1)
		granted := make(chan bool, 2)
		go func() { granted <- a.acquire(t.Context()) }()
		b.release()
		synctest.Wait()
		if len(granted) > 0 {
			t.Error("a was given what is reserved for b")
		}
		b.join()
		b.leave()
		synctest.Wait()
		if len(granted) > 0 {
			t.Error("a was given what is reserved for b, which has a user left")
		}
		b.leave()
		if !<-granted {
			t.Error("a was not given what was reserved for a client that has left")
		}
		go func() { granted <- a.acquire(t.Context()) }()
		synctest.Wait()
		s.setTotal(2)
		a.release()
		a.release()
		synctest.Wait()
		if len(granted) > 0 || s.free() != 0 {
			t.Errorf("of two slots %d are free while two are held", s.free())
		}
		s.setTotal(0)
		if !<-granted || a.limited() {
			t.Error("without a limit there is one")
		}
	})
}
