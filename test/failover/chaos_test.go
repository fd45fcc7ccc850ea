package failover_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kooperd.dev/kooperd/test/cluster"
)

// How long faults are made in one round of TestChaos; what leads to it and from it takes some
// seconds more.
const (
	roundLength      = 3 * time.Minute
	usualRoundLength = 40 * time.Second // beside the other tests
)

// TestChaos makes random faults, also several at a time, and holds everything that was stored
// against the law. It goes on in rounds, each with its own control plane and seed:
// -failover.seed=N repeats the faults of the round that was called seed=N, though not the moments
// at which processes feel them.
func TestChaos(t *testing.T) {
	besideOthers(t)
	length, end := roundLength, time.Now().Add(flags.chaos)
	switch {
	case flags.chaos > 0:
		length = min(length, flags.chaos)
	case !flags.conformance:
		length = usualRoundLength
	}
	faults, took := 0, time.Duration(0)
	var rounds uint64
	for rounds == 0 || time.Now().Before(end) {
		seed := flags.seed + rounds
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			began := time.Now()
			c := newChaos(t, seed)
			c.run(t, length)
			faults += c.faults
			took += time.Since(began)
		})
		if !ok {
			t.Fatalf("the law was broken; to repeat: go test ./failover -run '^TestChaos$' -failover.seed=%d", seed)
		}
		rounds++
	}
	table.add(row{
		section: "Chaos", measure: fmt.Sprintf("%d random faults in %s; violations: 0", faults, took.Round(time.Second)),
		program: kooperd.name, timing: fast.String(), n: int(rounds), kept: -1, note: fmt.Sprintf("seeds from %d", flags.seed),
	})
}

// chaos is one round.
type chaos struct {
	*scene
	seed      uint64
	faultRand *rand.Rand // of the present fault: the n-th fault of a seed is always the same, whatever happened before it
	faults    int
	ends      []ending // of faults that go on, in no order
	down      bool     // the API server is away
	// misled is when the lease was last edited in a way that a new process takes for a fresh
	// start or a restart of its own: see edit. No replica is started for as long as a lease lasts.
	misled time.Time
	due    map[*replica]time.Time // when a process that has ended is followed by another one
}

// ending ends a fault that goes on.
type ending struct {
	at  time.Time
	on  *replica // nil for a fault of the API server
	end func(t *testing.T)
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	server := cluster.StartServer(t, cluster.Options{Audit: true})
	c := &chaos{scene: newScene(t, server, kooperd, fast, steady, "a", "b", "c"), seed: seed, due: map[*replica]time.Time{}}
	c.start(t)
	return c
}

// run makes faults for some time, ends them all, wants the replicas to work again, and judges.
func (c *chaos) run(t *testing.T, length time.Duration) {
	t.Helper()
	over := time.Now().Add(length)
	next := time.Now()
	for n := uint64(0); time.Now().Before(over); {
		if now := time.Now(); !now.Before(next) {
			c.faultRand = rand.New(rand.NewPCG(c.seed, n))
			next = now.Add(c.some(100*time.Millisecond, 3*time.Second))
			c.fault(t)
			n++
		}
		c.tend(t)
		pause(t, 20*time.Millisecond)
	}
	c.settle(t)
	all := c.writes(t)
	c.verify(t, all)
	if n := len(all); n < int(length/time.Second) {
		t.Errorf("only %d writes were stored: that proves nothing", n)
	}
}

// some is a random time. Half of all are in the lower quarter, since most things that go wrong are
// short.
func (c *chaos) some(least, most time.Duration) time.Duration {
	span := float64(most - least)
	x := c.faultRand.Float64()
	return least + time.Duration(span*x*x)
}

// fault makes a random fault, if it can be made now.
func (c *chaos) fault(t *testing.T) {
	t.Helper()
	r := c.replicas[c.faultRand.IntN(len(c.replicas))]
	if c.faultRand.IntN(2) == 0 { // most faults of standbys teach nothing
		r = c.working()
	}
	kinds := chaosFaults()
	kind := kinds[c.faultRand.IntN(len(kinds))]
	length := c.some(100*time.Millisecond, 2*c.timing.lease)
	if !c.possible(kind, r) {
		return
	}
	c.faults++
	c.note(t, kind, r, length)
	if end := kind.begin(t, c, r); end != nil {
		on := r
		if kind.server {
			on = nil
		}
		c.ends = append(c.ends, ending{at: time.Now().Add(length), on: on, end: end})
	}
}

// possible reports whether a fault can be made now.
func (c *chaos) possible(kind chaosFault, r *replica) bool {
	switch {
	case kind.server:
		return !c.down
	case kind.edit:
		return !c.down
	default:
		return !c.busy(r)
	}
}

// note logs a fault, for the search of a cause.
func (c *chaos) note(t *testing.T, kind chaosFault, r *replica, length time.Duration) {
	t.Helper()
	at := time.Now().UTC().Format(time.StampMilli)
	length = length.Round(time.Millisecond)
	if kind.server || kind.edit {
		t.Logf("%s %s (%s)", at, kind.name, length)
		return
	}
	t.Logf("%s %s of %s (%s)", at, kind.name, r.identity(), length)
}

// working returns the replica that has worked last.
func (c *chaos) working() *replica {
	for _, e := range slices.Backward(c.history.all()) {
		if e.marker != nil {
			return c.replica(place(e.marker.Identity))
		}
	}
	return c.replicas[0]
}

// busy reports whether the replica is not to be hit now: it has no process, or another fault goes
// on. A proxy acknowledges what it holds back, which no network does, so what a frozen process has
// sent into a partition would arrive however late.
func (c *chaos) busy(r *replica) bool {
	if r.process.Exited() || r.stopped || r.killed {
		return true
	}
	for _, e := range c.ends {
		if e.on == r {
			return true
		}
	}
	return false
}

// tend ends faults whose time has come and starts processes like a kubelet.
func (c *chaos) tend(t *testing.T) {
	t.Helper()
	now := time.Now()
	var rest []ending
	for _, e := range c.ends {
		if now.Before(e.at) {
			rest = append(rest, e)
			continue
		}
		e.end(t)
	}
	c.ends = rest
	for _, r := range c.replicas {
		c.tendReplica(t, r)
	}
}

// tendReplica follows a process that has ended with another: in the same pod after a crash, in a
// new one after a deletion.
func (c *chaos) tendReplica(t *testing.T, r *replica) {
	t.Helper()
	if !r.process.Exited() {
		return
	}
	due, ok := c.due[r]
	if !ok {
		r.ended(t)
		c.due[r] = time.Now().Add(c.some(100*time.Millisecond, 3*time.Second))
		return
	}
	if time.Now().Before(due) || time.Since(c.misled) < c.timing.lease+c.timing.retry {
		return
	}
	delete(c.due, r)
	if r.stopped || r.killed && c.faultRand.IntN(2) == 0 {
		r.pod++
	}
	r.launch(t)
}

// settle ends all faults, wants one replica to work while all of them run, and then all to stop
// cleanly.
func (c *chaos) settle(t *testing.T) {
	t.Helper()
	for _, e := range c.ends {
		e.end(t)
	}
	c.ends = nil
	c.undoProlonging(t)
	from, healed := c.history.position(), time.Now()
	for worked := false; !worked; {
		if time.Since(healed) > patience {
			t.Fatalf("no replica works %s after the last fault", patience)
		}
		c.tend(t)
		for _, r := range c.replicas {
			if r.process.Exited() {
				from = c.history.position() // what was written while one was missing does not count
			}
		}
		_, worked = c.history.awaitWithin(t, from, 100*time.Millisecond, func(e event) bool { return e.marker != nil })
	}
	c.stopAll(t)
}

// undoProlonging gives the lease its duration back if somebody has prolonged it while nobody leads
// who would: then everybody waits for as long as it says, as the law wants it.
func (c *chaos) undoProlonging(t *testing.T) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"leaseDurationSeconds":%d}}`, c.timing.lease/time.Second)
	if err := c.tryEdit(t, edit{patch: patch}, ""); err != nil && !apierrors.IsNotFound(err) {
		t.Fatalf("editing the lease: %v", err)
	}
}
