package handlerstest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"kooperd.dev/kooperd/pkg/handlers"
)

// cancelAfter is when the context of a call ends that should be under way by then.
const cancelAfter = 50 * time.Millisecond

// timeouts are the deadlines of calls that may take as long as they like.
type timeouts struct {
	call time.Duration
	// answer is that of one whose answer is compared with others. It is longer, as a busy machine
	// is slow: what is cut off cannot be compared.
	answer time.Duration
}

func defaultTimeouts() timeouts { return timeouts{call: 5 * time.Second, answer: time.Minute} }

// subject is what a plugin makes: a handlers.Handler or a handlers.Composer.
type subject any

// call is one call of a subject.
type call struct {
	// doing says what is done, for messages: `handling object "minimal"`.
	doing string
	// do returns the subject's error, and a mistake that no subject may make.
	do func(ctx context.Context) (mistake string, err error)
}

// life makes a handler or composer, lets use work with it, and ends it as the engine does. Nothing
// may be left of it.
func (c *check) life(t *testing.T, bound handlers.Bound, use func(subject)) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := c.make(ctx, t, bound, "test", prometheus.NewPedanticRegistry())
	use(s)
	cancel()
	closeSubject(t, bound, s)
	if err := goleak.Find(before); err != nil {
		t.Errorf("goroutines outlive the %s: %v", role(bound), err)
	}
}

// role is what a plugin makes, for messages.
func role(bound handlers.Bound) string {
	if bound.Composes() {
		return "composer"
	}
	return "handler"
}

func (c *check) make(ctx context.Context, t *testing.T, bound handlers.Bound, definition string, registry prometheus.Registerer) subject {
	t.Helper()
	env := newEnv(t, definition, registry)
	if bound.Finalizes() && !bound.Composes() {
		env.Finalizer = finalizerName
	}
	if c.opts.Env != nil {
		c.opts.Env(t, &env)
	}
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("making the %s of definition %q: panic: %v\n%s", role(bound), definition, r, debug.Stack())
		}
	}()
	s, err := newSubject(ctx, bound, env)
	if err != nil {
		t.Fatalf("making the %s of definition %q: %v", role(bound), definition, err)
	}
	return s
}

func newSubject(ctx context.Context, bound handlers.Bound, env handlers.Env) (subject, error) {
	if bound.Composes() {
		return bound.NewComposer(ctx, env)
	}
	return bound.New(ctx, env)
}

func closeSubject(t *testing.T, bound handlers.Bound, s subject) {
	t.Helper()
	if closer, ok := s.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			t.Errorf("closing the %s: %v", role(bound), err)
		}
	}
}

// callsOf returns the calls that Check makes, in order.
func (c *check) callsOf(s subject) []call {
	if composer, ok := s.(handlers.Composer); ok {
		return c.composer.calls(composer)
	}
	handler, _ := s.(handlers.Handler)
	return c.handlings("handling", handler)
}

// handlings returns one call of h for each object.
func (c *check) handlings(doing string, h handlers.Handler) []call {
	requests := c.requests()
	calls := make([]call, 0, len(requests))
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		calls = append(calls, call{
			doing: fmt.Sprintf("%s object %q", doing, name),
			do: func(ctx context.Context) (mistake string, err error) {
				result, err := h.Handle(ctx, requests[name])
				if err == nil && result.RequeueAfter < 0 {
					mistake = fmt.Sprintf("RequeueAfter is %s", result.RequeueAfter)
				}
				return mistake, err
			},
		})
	}
	return calls
}

// run makes a call and reports a panic, a call that goes on after ctx, and a senseless result. It
// returns the subject's error.
func (c *check) run(ctx context.Context, t *testing.T, what call) error {
	t.Helper()
	done := make(chan ending, 1)
	ctx = logr.NewContext(ctx, NewLogs(t).Logger())
	go func() { runInto(ctx, what, done) }()
	select {
	case end := <-done:
		return end.report(t)
	case <-ctx.Done():
	}
	late := time.NewTimer(c.opts.Prompt)
	defer late.Stop()
	select {
	case end := <-done:
		return end.report(t)
	case <-late.C:
		t.Errorf("%s: the call goes on %s after its context has ended", what.doing, c.opts.Prompt)
		return ctx.Err()
	}
}

// ending is how a call ended: with an error, which may be nil, or with what no subject may do.
type ending struct {
	mistake string
	err     error
}

func (e ending) report(t *testing.T) error {
	t.Helper()
	if e.mistake != "" {
		t.Error(e.mistake)
	}
	return e.err
}

// runInto makes a call and sends how that ended.
func runInto(ctx context.Context, what call, done chan<- ending) {
	end := ending{mistake: what.doing + ": runtime.Goexit was called"}
	defer func() {
		if r := recover(); r != nil {
			end.mistake = fmt.Sprintf("%s: panic: %v\n%s", what.doing, r, debug.Stack())
		}
		done <- end
	}()
	mistake, err := what.do(ctx)
	end = ending{err: err}
	if mistake != "" {
		end.mistake = what.doing + ": " + mistake
	}
}

func (c *check) requests() map[string]handlers.Request {
	requests := map[string]handlers.Request{}
	for name, o := range c.samples {
		requests[name] = handlers.Request{Object: o, Cause: handlers.CauseChange}
	}
	for i, o := range c.opts.Objects {
		requests[fmt.Sprintf("Objects[%d]", i)] = handlers.Request{Object: o, Cause: handlers.CauseRetry, Attempt: i + 1}
	}
	return requests
}

func (c *check) handle(t *testing.T, bound handlers.Bound) {
	c.life(t, bound, func(s subject) {
		for _, what := range c.callsOf(s) {
			ctx, cancel := context.WithTimeout(t.Context(), c.opts.timeouts.call)
			_ = c.run(ctx, t, what)
			cancel()
		}
	})
}

// concurrent handles all objects at the same time; under the race detector it finds state that
// calls share.
func (c *check) concurrent(t *testing.T, bound handlers.Bound) {
	c.life(t, bound, func(s subject) {
		ctx, cancel := context.WithTimeout(t.Context(), c.opts.timeouts.call)
		defer cancel()
		var running sync.WaitGroup
		for _, what := range c.callsOf(s) {
			running.Go(func() { _ = c.run(ctx, t, what) })
		}
		running.Wait()
	})
}

// cancel handles objects in a context that has ended, and in one that ends soon.
func (c *check) cancel(t *testing.T, bound handlers.Bound) {
	c.life(t, bound, func(s subject) { c.cancelAll(t, c.callsOf(s)) })
}

func (c *check) cancelAll(t *testing.T, calls []call) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, what := range calls {
		_ = c.run(ended, t, what)
		soon, cancel := context.WithTimeout(t.Context(), cancelAfter)
		_ = c.run(soon, t, what)
		cancel()
	}
}

func (c *check) closeTwice(t *testing.T, bound handlers.Bound) {
	c.life(t, bound, func(s subject) { closeSubject(t, bound, s) })
}

// sideBySide makes the handlers of two definitions, as they share the process and its metrics.
func (c *check) sideBySide(t *testing.T, bound handlers.Bound) {
	ctx, cancel := context.WithTimeout(t.Context(), c.opts.timeouts.call)
	defer cancel()
	registry := prometheus.NewPedanticRegistry()
	one := c.make(ctx, t, bound, "one", registry)
	defer closeSubject(t, bound, one)
	two := c.make(ctx, t, bound, "two", registry)
	defer closeSubject(t, bound, two)
	for _, s := range []subject{one, two} {
		for _, what := range c.callsOf(s)[:1] {
			_ = c.run(ctx, t, what)
		}
	}
	if _, err := registry.Gather(); err != nil {
		t.Errorf("gathering the metrics of two definitions: %v", err)
	}
	cancel() // before they are closed, as the engine does
}
