package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/engine"
)

// shutdownTimeout is the one of all tests here.
const shutdownTimeout = 25 * time.Second

// record is what the parts of a life cycle have done, in order.
type record struct {
	mu     sync.Mutex
	events []string
}

func (r *record) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// fakeParts are all parts of a life cycle. The zero value obeys at once.
type fakeParts struct {
	record

	wants     chan struct{}                  // closed once a definition is under the lease
	callTakes map[engine.Group]time.Duration // a call under way at the drain, which obeys its context
	callStuck map[engine.Group]bool          // it does not
	runStuck  bool                           // the sources do not stop
	names     []string                       // code of plugins that is running
	freeStuck bool
	compete   func(ctx context.Context, lead func(context.Context) error) error
	leads     bool
	synced    chan struct{}
	serveErr  chan error

	release chan struct{} // ends what is stuck, after the test
}

// newParts returns parts whose stuck goroutines end with the test, which must be in a bubble.
func newParts(t *testing.T) *fakeParts {
	t.Helper()
	p := &fakeParts{
		callTakes: map[engine.Group]time.Duration{}, callStuck: map[engine.Group]bool{},
		synced: make(chan struct{}), serveErr: make(chan error, 1), release: make(chan struct{}), wants: make(chan struct{}),
	}
	close(p.synced)
	close(p.wants)
	t.Cleanup(func() { close(p.release) })
	return p
}

func (p *fakeParts) Run(ctx context.Context) {
	<-ctx.Done()
	if p.runStuck {
		<-p.release
	}
	p.add("sources stopped")
}

func (p *fakeParts) Work(term context.Context, drain engine.Drain, group engine.Group) {
	name := map[engine.Group]string{engine.UnderLease: "lease", engine.EveryReplica: "every replica"}[group]
	p.add(name + ": work")
	select {
	case <-term.Done():
	case <-drain:
		select {
		case <-term.Done():
		case <-time.After(p.callTakes[group]):
		}
	}
	if p.callStuck[group] {
		<-p.release
	}
	p.add(name + ": returned")
}

func (p *fakeParts) Wants(engine.Group) <-chan struct{} { return p.wants }
func (p *fakeParts) Unreturned() []string               { return p.names }
func (p *fakeParts) Leading() bool                      { return p.leads }
func (p *fakeParts) Synced() <-chan struct{}            { return p.synced }
func (p *fakeParts) Ready() (bool, []string)            { return false, []string{"pods"} }
func (p *fakeParts) Stop()                              { p.add("unready") }

// fakeElector has the parts' compete as its Run.
type fakeElector struct{ *fakeParts }

func (e fakeElector) Run(ctx context.Context, lead func(context.Context) error) error {
	if ctx.Err() == nil {
		e.add("competing")
	}
	return e.compete(ctx, lead)
}

// wins leads one term that lasts until the work returns, and releases the lease.
func (p *fakeParts) wins(ctx context.Context, lead func(context.Context) error) error {
	err := lead(context.WithoutCancel(ctx))
	if errors.Is(err, election.ErrKeepLease) {
		p.add("lease kept")
		return err
	}
	p.add("lease released")
	return err
}

// loses leads a term of a second.
func (p *fakeParts) loses(ctx context.Context, lead func(context.Context) error) error {
	term, end := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer end()
	_ = lead(term)
	p.add("lease lost")
	return fmt.Errorf("%w: RenewDeadlineExceeded", election.ErrLost)
}

// waits is a standby until ctx ends.
func (p *fakeParts) waits(ctx context.Context, _ func(context.Context) error) error {
	<-ctx.Done()
	return nil
}

// lifecycle returns the life cycle of the parts; compete is the elector's Run, nil for none.
func (p *fakeParts) lifecycle(compete func(context.Context, func(context.Context) error) error) *lifecycle {
	l := &lifecycle{
		workload: p, board: p, logger: logr.Discard(),
		serve: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				p.add("servers stopped")
				return nil
			case err := <-p.serveErr:
				return err
			}
		},
		free: []func(){func() {
			if p.freeStuck {
				<-p.release
			}
			p.add("freed")
		}},
		timeouts: timeouts{shutdown: shutdownTimeout, warmUp: 15 * time.Second},
		next: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithCancel(context.WithoutCancel(ctx)) // No second signal comes.
		},
	}
	if compete != nil {
		p.compete = compete
		l.elector = fakeElector{p}
	}
	return l
}

// outcome is how a life cycle ended: after how long, and with what.
type outcome struct {
	took time.Duration
	err  error
}

// runFor runs l and asks it to stop after d, or never if d is 0. It returns how long it went on
// after the request, or after its start if there was none.
func runFor(t *testing.T, l *lifecycle, d time.Duration) outcome {
	t.Helper()
	asked, ask := context.WithCancel(t.Context())
	defer ask()
	began := time.Now()
	if d > 0 {
		time.AfterFunc(d, ask)
	}
	err := l.run(asked)
	return outcome{took: time.Since(began) - d, err: err}
}
