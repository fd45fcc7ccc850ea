package election

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// moment is more than anything takes that happens at once in these tests: the network in them is as
// fast as the processor.
const moment = time.Millisecond

// leads waits until c leads and returns its term.
func (c *testElector) leads() context.Context {
	c.t.Helper()
	var term context.Context
	select {
	case term = <-c.terms:
	case <-time.After(2 * time.Hour):
		c.t.Fatal("it does not lead")
	}
	if !c.Leading() {
		c.t.Fatal("lead was called outside a valid term")
	}
	return term
}

// wantLost waits for Run's end and checks that it was a loss for the reason.
func (c *testElector) wantLost(reason Reason) {
	c.t.Helper()
	err := <-c.result
	if !errors.Is(err, ErrLost) || errors.Is(err, ErrStuck) {
		c.t.Errorf("Run returned %v, want ErrLost alone", err)
	}
	if n := len(c.seen.losses); n == 0 || c.seen.losses[n-1] != reason {
		c.t.Errorf("losses %v, want %s", c.seen.losses, reason)
	}
	if c.Remaining() != 0 || c.Leading() {
		c.t.Errorf("%s remains after the loss", c.Remaining())
	}
}

// testClock is the clock of one machine: the bubble's time, shifted and stretched. While it is
// frozen, a goroutine that reads it stands still, like a process between SIGSTOP and SIGCONT.
type testClock struct {
	start time.Time
	rate  float64

	mu        sync.Mutex
	boot      time.Duration
	wallShift time.Duration
	frozen    chan struct{} // closed to go on; nil while running
}

func newTestClock() *testClock { return &testClock{start: time.Now(), rate: 1} }

func (c *testClock) Wall() time.Time {
	c.pass()
	return c.peek().wall
}

func (c *testClock) Boot() time.Duration {
	c.pass()
	return c.peek().boot
}

// pass waits until the clock is not frozen.
func (c *testClock) pass() {
	c.mu.Lock()
	frozen := c.frozen
	c.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

// peek reads both clocks, frozen or not.
func (c *testClock) peek() instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	elapsed := time.Duration(float64(time.Since(c.start)) * c.rate)
	return instant{boot: time.Hour + elapsed + c.boot, wall: c.start.Add(elapsed + c.wallShift)}
}

func (c *testClock) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen == nil {
		c.frozen = make(chan struct{})
	}
}

func (c *testClock) thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen != nil {
		close(c.frozen)
		c.frozen = nil
	}
}

// suspend lets the machine's clocks go on by d, while its timers did not.
func (c *testClock) suspend(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boot += d
	c.wallShift += d
}

// step sets the wall clock forward, or back.
func (c *testClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wallShift += d
}

// testElector is an elector under test with everything around it.
type testElector struct {
	*Elector
	t     *testing.T
	link  *link
	clock *testClock
	seen  *observations

	cancel context.CancelFunc
	result chan error
	terms  chan context.Context // one for each call of lead
	leave  chan error           // makes lead return
}

// observations keeps the calls of the observer.
type observations struct {
	mu      sync.Mutex
	states  []State
	losses  []Reason
	renewed []error
	elected int
	kept    []error
}

func (o *observations) note(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (o *observations) observer() Observer {
	return Observer{
		StateChanged: func(_, to State) { o.note(func() { o.states = append(o.states, to) }) },
		Renewed:      func(_ time.Duration, err error) { o.note(func() { o.renewed = append(o.renewed, err) }) },
		Elected:      func(*coordinationv1.Lease) { o.note(func() { o.elected++ }) },
		Lost:         func(reason Reason, _ error) { o.note(func() { o.losses = append(o.losses, reason) }) },
		Released:     func(err error) { o.note(func() { o.kept = append(o.kept, err) }) },
	}
}

// newTestElector makes an elector on the server with default timings. Its leader's function returns
// when its term, or Run's context, ends, or when the test says so.
func newTestElector(t *testing.T, s *server, identity string, change ...func(*Options)) *testElector {
	t.Helper()
	c := &testElector{t: t, link: newLink(s), clock: newTestClock(), seen: &observations{}, terms: make(chan context.Context, 100), leave: make(chan error)}
	o := Options{
		Namespace: testNamespace, Name: testName, Identity: identity,
		Leases: c.link, Clock: c.clock, Observer: c.seen.observer(),
	}
	for _, f := range change {
		f(&o)
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.Elector = e
	t.Cleanup(func() { time.Sleep(10 * time.Second) }) // what is still on its way to the server arrives
	return c
}

// start calls Run with a leader's function that obeys.
func (c *testElector) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.startWith(ctx, cancel, func(term context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-term.Done():
			return term.Err()
		case err := <-c.leave:
			return err
		}
	})
}

func (c *testElector) startWith(ctx context.Context, cancel context.CancelFunc, lead func(context.Context) error) {
	c.cancel, c.result = cancel, make(chan error, 1)
	go func() {
		c.result <- c.Run(ctx, func(term context.Context) error {
			c.terms <- term
			return lead(term)
		})
	}()
}

// stop ends Run and returns what it returned.
func (c *testElector) stop() error {
	c.cancel()
	return <-c.result
}

func spec(holder string, duration int32, renewed time.Time) coordinationv1.LeaseSpec {
	l := &coordinationv1.Lease{}
	rec := record{holder: holder, seconds: duration}
	if !renewed.IsZero() {
		rec.renewed = renewed.UnixMicro()
	}
	rec.writeTo(l)
	if renewed.IsZero() {
		l.Spec.RenewTime = nil
	}
	l.Spec.AcquireTime = nil
	return l.Spec
}

func releasedSpec() coordinationv1.LeaseSpec {
	l := &coordinationv1.Lease{}
	release(l)
	return l.Spec
}

// release is what a holder writes when it gives up.
func release(l *coordinationv1.Lease) {
	now := time.Now().UnixMicro()
	record{seconds: 1, transitions: recordOf(l).transitions, acquired: now, renewed: now}.writeTo(l)
}

func seconds(n int32) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = &n }
}

func transitions(n int32) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = &n }
}

func renewedAt(at time.Time) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) { l.Spec.RenewTime = microTime(at.UnixMicro()) }
}

func label(l *coordinationv1.Lease) {
	if l.Labels == nil {
		l.Labels = map[string]string{}
	}
	l.Labels["touched"] = time.Now().Format(time.RFC3339Nano)
}
