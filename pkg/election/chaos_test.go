package election

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

var (
	chaosSeeds = flag.Int("election.seeds", 20, "number of random schedules of TestChaos")
	chaosSeed  = flag.Uint64("election.seed", 1, "the first of them")
)

// TestChaos lets three replicas compete through ten minutes of random faults per seed, and checks
// that there are never two leaders, that no elector touches a Lease that another holds, and that
// the survivors agree in the end.
func TestChaos(t *testing.T) {
	n := *chaosSeeds
	if testing.Short() {
		n = min(n, 5)
	}
	for i := range uint64(n) {
		seed := *chaosSeed + i
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newChaos(t, seed).run(10 * time.Minute) })
		})
	}
}

// chaos is one schedule.
type chaos struct {
	t        *testing.T
	rand     *rand.Rand
	server   *server
	timings  Options
	replicas []*replica
	done     chan struct{}
	wg       sync.WaitGroup

	// A new process cannot know of a Lease that was deleted before it looked for the first time,
	// and creates it at once. That is documented, and not a defect to be found: no elector is
	// started for a lease duration after a deletion.
	mu      sync.Mutex
	deleted time.Time
}

// replica is a place where one process after the other runs.
type replica struct {
	*chaos
	identity string

	mu      sync.Mutex
	rand    *rand.Rand
	process *process
}

// process is one life of a replica.
type process struct {
	link    *link
	clock   *testClock
	elector *Elector
	stop    context.CancelFunc // SIGTERM
	killed  chan struct{}      // SIGKILL
	kill    func()
	working bool // guarded by the replica's mutex
	frozen  bool // it was, during this term: the gate holds its writes back, but its work still runs when it wakes up
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{
		t: t, rand: rand.New(rand.NewPCG(seed, 0)), server: newServer(), done: make(chan struct{}),
		timings: Options{LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second},
	}
	if seed%3 == 0 {
		c.timings = Options{LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: time.Second}
	}
	for i := range 3 {
		c.replicas = append(c.replicas, &replica{chaos: c, identity: fmt.Sprintf("replica-%d", i), rand: rand.New(rand.NewPCG(seed, uint64(i)+1))})
	}
	return c
}

func (c *chaos) run(length time.Duration) {
	for _, r := range c.replicas {
		c.wg.Go(r.live)
	}
	c.wg.Go(c.check)
	end := time.Now().Add(length)
	for time.Now().Before(end) {
		time.Sleep(time.Duration(c.rand.Int64N(int64(c.timings.LeaseDuration))))
		c.act()
	}
	for _, r := range c.replicas {
		if p := r.current(); p != nil {
			p.clock.thaw()
			p.link.mend()
		}
	}
	time.Sleep(3 * c.timings.LeaseDuration)
	leaders := 0
	for _, r := range c.replicas {
		if r.current().valid() {
			leaders++
		}
	}
	if leaders != 1 {
		c.t.Errorf("%d leaders after everything was repaired", leaders)
	}
	close(c.done)
	for _, r := range c.replicas {
		r.current().stop()
	}
	c.wg.Wait()
	c.checkWrites()
	time.Sleep(time.Minute) // what is still on its way to the server arrives
}

// act does one random thing.
func (c *chaos) act() {
	r := c.replicas[c.rand.IntN(len(c.replicas))]
	p := r.current()
	if p == nil {
		return
	}
	for range c.rand.IntN(2) + 1 { // some replicas suffer from two things at once
		switch c.rand.IntN(12) {
		case 0:
			p.link.cut()
		case 1:
			p.link.setFault(only("update", fault{mute: true}))
		case 2:
			p.link.setFault(always(fault{after: c.upTo(c.timings.LeaseDuration)}))
		case 3:
			p.link.setFault(always(fault{before: c.upTo(c.timings.LeaseDuration)}))
		case 4:
			p.link.setFault(r.flaky(c.rand.Uint64()))
		case 5:
			p.link.endWatches()
		case 6:
			p.clock.step(c.upTo(time.Minute) - 30*time.Second)
		case 7:
			c.byHand()
		case 8:
			r.freeze()
			time.Sleep(c.upTo(2 * c.timings.LeaseDuration))
			p.clock.thaw()
		case 9:
			p.stop()
		case 10:
			p.kill()
		case 11:
			p.link.mend()
		}
	}
	if c.rand.IntN(3) > 0 {
		time.Sleep(c.upTo(2 * c.timings.LeaseDuration))
		p.link.mend()
	}
}

func (c *chaos) upTo(limit time.Duration) time.Duration {
	return time.Duration(c.rand.Int64N(int64(limit)))
}

// byHand does what people do to a Lease with kubectl.
func (c *chaos) byHand() {
	switch c.rand.IntN(10) {
	case 0:
		c.delete()
	case 1:
		c.server.edit(steal)
	case 2:
		c.server.edit(renewedAt(time.Unix(1, 0)))
	case 3:
		c.server.edit(func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil })
	case 4:
		c.server.edit(func(l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} })
	case 5:
		c.server.edit(seconds(1))
	case 6:
		c.server.edit(func(l *coordinationv1.Lease) { l.Spec.AcquireTime, l.Spec.RenewTime = nil, nil })
	case 7:
		c.server.edit(seconds(3600))
		time.Sleep(time.Second)
		c.server.edit(seconds(int32(c.timings.LeaseDuration / time.Second)))
	default:
		c.server.edit(label)
	}
}

// delete deletes the Lease if every process has seen it.
func (c *chaos) delete() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.replicas {
		if p := r.current(); p == nil || p.dead() || p.elector.leader.Load() == nil {
			return
		}
	}
	c.deleted = time.Now()
	c.server.delete()
}

// settled waits until a deletion is so long ago that a process may be started.
func (c *chaos) settled() {
	for {
		c.mu.Lock()
		rest := c.timings.LeaseDuration - time.Since(c.deleted)
		c.mu.Unlock()
		if rest <= 0 {
			return
		}
		time.Sleep(rest)
	}
}

// flaky is a network on which every second request meets some fault.
func (r *replica) flaky(seed uint64) func(string) fault {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	return func(string) fault {
		mu.Lock()
		defer mu.Unlock()
		delay := time.Duration(random.Int64N(int64(r.timings.RetryPeriod)))
		switch random.IntN(12) {
		case 0:
			return fault{lost: true}
		case 1:
			return fault{mute: true, before: delay}
		case 2:
			return fault{before: delay}
		case 3:
			return fault{after: delay}
		case 4:
			return fault{err: apierrors.NewInternalError(errors.New("etcd"))}
		case 5:
			return fault{err: apierrors.NewGenericServerResponse(http.StatusNotFound, "PUT", leases, testName, "proxy", 0, true)}
		default:
			return fault{}
		}
	}
}

// live runs one process after the other, as the kubelet does.
func (r *replica) live() {
	for {
		r.settled()
		p := r.start()
		ctx, cancel := context.WithCancel(context.Background())
		p.stop = cancel
		r.mu.Lock()
		r.process = p
		r.mu.Unlock()
		for again := true; again; {
			err := p.elector.Run(ctx, func(term context.Context) error { return r.work(ctx, term, p) })
			// In the same process again, unless work of the old term is still running or the
			// process was asked to stop.
			again = ctx.Err() == nil && !errors.Is(err, ErrStuck) && r.roll(2) == 0
		}
		p.kill() // what is left of it
		cancel()
		select {
		case <-r.done:
			return
		case <-time.After(r.wait(time.Second)):
		}
	}
}

func (r *replica) start() *process {
	p := &process{link: newLink(r.server), clock: newTestClock(), killed: make(chan struct{})}
	p.clock.rate = 0.99 + float64(r.roll(2000))/100000
	o := r.timings
	o.Namespace, o.Name, o.Identity, o.Leases, o.Clock = testNamespace, testName, r.identity, p.link, p.clock
	if r.roll(2) == 0 {
		o.Identity += fmt.Sprintf("_%d", r.roll(1000000)) // a new pod
	}
	e, err := New(o)
	if err != nil {
		r.t.Error(err)
	}
	p.elector = e
	p.kill = sync.OnceFunc(func() {
		p.link.cut() // nothing leaves a dead process; what has left it before may still arrive
		close(p.killed)
		p.stop()
	})
	return p
}

// work is the leader's function. Most of the time it obeys quickly.
func (r *replica) work(ctx, term context.Context, p *process) error {
	r.set(p, true)
	defer r.set(p, false)
	latency := r.wait(50 * time.Millisecond)
	if r.roll(5) == 0 {
		latency = r.wait(2 * r.timings.LeaseDuration)
	}
	select {
	case <-ctx.Done():
	case <-term.Done():
	case <-p.killed:
	case <-time.After(r.wait(10 * time.Minute)):
		return errors.New("done with it")
	}
	select {
	case <-time.After(latency):
	case <-p.killed:
	}
	return nil
}

// roll and wait return random numbers below n; what a process leaves behind may ask for one, too.
func (r *replica) roll(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rand.IntN(n)
}

func (r *replica) wait(n time.Duration) time.Duration { return time.Duration(r.roll(int(n))) }

func (r *replica) set(p *process, working bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.working, p.frozen = working, false
}

func (r *replica) freeze() {
	p := r.current()
	r.mu.Lock()
	defer r.mu.Unlock()
	p.frozen = true
	p.clock.freeze()
}

func (r *replica) current() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process
}

// valid reports whether a living process would let a write pass at this moment.
func (p *process) valid() bool {
	if p.dead() {
		return false
	}
	v := p.elector.validity.Load()
	return v != nil && v.remaining(p.clock.peek()) > 0
}

func (p *process) dead() bool {
	select {
	case <-p.killed:
		return true
	default:
		return false
	}
}

// check looks for two leaders every few milliseconds.
func (c *chaos) check() {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-ticker.C:
		}
		valid, working := 0, 0
		for _, r := range c.replicas {
			p := r.current()
			if p == nil {
				continue
			}
			if p.valid() {
				valid++
			}
			r.mu.Lock()
			if p.working && !p.frozen {
				working++
			}
			r.mu.Unlock()
		}
		if valid > 1 || working > 1 {
			c.t.Errorf("%d leaders, %d of them at work", valid, working)
			return
		}
	}
}

// checkWrites looks for a write over a Lease on which another could still rely.
func (c *chaos) checkWrites() {
	var holder string               // of the last write by a replica
	var before record               // as of the last write by anybody
	var genuine, standing time.Time // when others may take it, by what replicas wrote and by what stands in it
	for _, w := range c.server.history() {
		rest := latest(genuine, standing).Sub(w.at)
		forNobody := strings.HasSuffix(w.rec.holder, tombstone)
		if w.from != nil && !forNobody && w.rec.holder != "" && w.rec.holder != holder && rest > c.timings.LeaseDuration/50 {
			c.t.Errorf("%q was written %s before the lease of %q could be taken", w.rec.holder, rest, holder)
		}
		if w.rec != before {
			standing = w.at.Add(w.rec.duration())
		}
		if !w.rec.held() {
			standing = w.at
		}
		before = w.rec
		switch {
		case w.from == nil: // makes no tenure shorter
		case forNobody:
			holder, genuine = w.rec.holder, latest(genuine, standing)
		default:
			holder, genuine = w.rec.holder, standing
		}
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
