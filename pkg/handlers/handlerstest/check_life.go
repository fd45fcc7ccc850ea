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

const (
	// callTimeout is the deadline of a call that may take as long as it likes.
	callTimeout = 5 * time.Second
	// cancelAfter is when the context of a call ends that should be under way by then.
	cancelAfter = 50 * time.Millisecond
)

// life makes a handler, lets use work with it, and ends it as the engine does. Nothing may be left
// of it.
func (c *check) life(t *testing.T, bound handlers.Bound, use func(handlers.Handler)) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := c.make(ctx, t, bound, "test", prometheus.NewPedanticRegistry())
	use(h)
	cancel()
	closeHandler(t, h)
	if err := goleak.Find(before); err != nil {
		t.Errorf("goroutines outlive the handler: %v", err)
	}
}

func (c *check) make(ctx context.Context, t *testing.T, bound handlers.Bound, definition string, registry prometheus.Registerer) handlers.Handler {
	t.Helper()
	env := newEnv(t, definition, registry)
	if bound.Finalizes() {
		env.Finalizer = finalizerName
	}
	if c.opts.Env != nil {
		c.opts.Env(t, &env)
	}
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("making the handler of definition %q: panic: %v\n%s", definition, r, debug.Stack())
		}
	}()
	h, err := bound.New(ctx, env)
	if err != nil {
		t.Fatalf("making the handler of definition %q: %v", definition, err)
	}
	return h
}

func closeHandler(t *testing.T, h handlers.Handler) {
	t.Helper()
	if closer, ok := h.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			t.Errorf("closing the handler: %v", err)
		}
	}
}

// call calls the handler and reports a panic, a call that goes on after ctx, and a senseless
// result. It returns the handler's error.
func (c *check) call(ctx context.Context, t *testing.T, h handlers.Handler, object string, req handlers.Request) error {
	t.Helper()
	done := make(chan ending, 1)
	ctx = logr.NewContext(ctx, NewLogs(t).Logger())
	go func() { callInto(ctx, h, object, req, done) }()
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
		t.Errorf("handling object %q: the call goes on %s after its context has ended", object, c.opts.Prompt)
		return ctx.Err()
	}
}

// ending is how a call ended: with an error, which may be nil, or with what no handler may do.
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

// callInto calls the handler and sends how that ended.
func callInto(ctx context.Context, h handlers.Handler, object string, req handlers.Request, done chan<- ending) {
	end := ending{mistake: fmt.Sprintf("handling object %q: runtime.Goexit was called", object)}
	defer func() {
		if r := recover(); r != nil {
			end.mistake = fmt.Sprintf("handling object %q: panic: %v\n%s", object, r, debug.Stack())
		}
		done <- end
	}()
	result, err := h.Handle(ctx, req)
	end = ending{err: err}
	if err == nil && result.RequeueAfter < 0 {
		end.mistake = fmt.Sprintf("handling object %q: RequeueAfter is %s", object, result.RequeueAfter)
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
	c.life(t, bound, func(h handlers.Handler) {
		requests := c.requests()
		for _, name := range slices.Sorted(maps.Keys(requests)) {
			ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
			_ = c.call(ctx, t, h, name, requests[name])
			cancel()
		}
	})
}

// concurrent handles all objects at the same time; under the race detector it finds state that
// calls share.
func (c *check) concurrent(t *testing.T, bound handlers.Bound) {
	c.life(t, bound, func(h handlers.Handler) {
		ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
		defer cancel()
		var calls sync.WaitGroup
		for name, req := range c.requests() {
			calls.Go(func() { _ = c.call(ctx, t, h, name, req) })
		}
		calls.Wait()
	})
}

// cancel handles objects in a context that has ended, and in one that ends soon.
func (c *check) cancel(t *testing.T, bound handlers.Bound) {
	c.life(t, bound, func(h handlers.Handler) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		requests := c.requests()
		for _, name := range slices.Sorted(maps.Keys(requests)) {
			_ = c.call(ended, t, h, name, requests[name])
			soon, cancel := context.WithTimeout(t.Context(), cancelAfter)
			_ = c.call(soon, t, h, name, requests[name])
			cancel()
		}
	})
}

func (c *check) closeTwice(t *testing.T, bound handlers.Bound) {
	c.life(t, bound, func(h handlers.Handler) { closeHandler(t, h) })
}

// sideBySide makes the handlers of two definitions, as they share the process and its metrics.
func (c *check) sideBySide(t *testing.T, bound handlers.Bound) {
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	registry := prometheus.NewPedanticRegistry()
	one := c.make(ctx, t, bound, "one", registry)
	defer closeHandler(t, one)
	two := c.make(ctx, t, bound, "two", registry)
	defer closeHandler(t, two)
	for _, h := range []handlers.Handler{one, two} {
		_ = c.call(ctx, t, h, "minimal", handlers.Request{Object: c.samples["minimal"], Cause: handlers.CauseInitial})
	}
	if _, err := registry.Gather(); err != nil {
		t.Errorf("gathering the metrics of two definitions: %v", err)
	}
	cancel() // before the handlers are closed, as the engine does
}
