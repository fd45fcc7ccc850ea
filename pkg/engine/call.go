package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// overdueGrace is how long a call may take to notice its deadline before the definition is called degraded.
const overdueGrace = 10 * time.Second

// errTimeout is the cause of a context that the definition's timeout has ended.
var errTimeout = errors.New("the definition's timeout has passed")

// outcome is what became of one call.
type outcome struct {
	result    handlers.Result
	err       error
	cancelled bool // the work ended, not the call's own doing
	duration  time.Duration
	logger    logr.Logger
}

// call runs the handler once. It returns only when the handler has returned, also after its deadline: the object stays
// locked until then, because two calls for one object must never overlap.
func (c *controller) call(ctx context.Context, req handlers.Request) outcome {
	key := kube.Key{Namespace: req.Object.Namespace(), Name: req.Object.Name()}
	logger := telemetry.ForCall(c.logger, key.Namespace, key.Name, rand.Uint64()) //nolint:gosec // a name for log lines, not a secret
	callCtx, cancel := context.WithTimeoutCause(logr.NewContext(ctx, logger), c.def.Timeout, errTimeout)
	defer cancel()
	defer c.begin(key)()
	c.metrics.Busy.Inc()
	defer c.metrics.Busy.Dec()

	verbose := logger.V(1)
	if verbose.Enabled() {
		verbose.Info("handling object", "cause", req.Cause, "attempt", req.Attempt, "resourceVersion", req.Object.ResourceVersion())
	}
	start := time.Now()
	result, err := c.handle(callCtx, req)
	o := outcome{result: result, err: err, duration: time.Since(start), logger: logger}
	o.cancelled = err != nil && ctx.Err() != nil
	c.metrics.Processed(o.duration, err == nil)
	if err != nil && !o.cancelled {
		c.countTimeout(callCtx, &o)
	}
	if verbose.Enabled() {
		verbose.Info("handled object", "duration", o.duration, "success", err == nil, "cancelled", o.cancelled)
	}
	return o
}

// countTimeout counts a call that failed because of a deadline: the definition's, or one of the handler's own within it.
func (c *controller) countTimeout(ctx context.Context, o *outcome) {
	if errors.Is(context.Cause(ctx), errTimeout) {
		o.err = fmt.Errorf("after the timeout of %s: %w", c.def.Timeout, o.err)
		c.metrics.Timeouts.Inc()
	} else if errors.Is(o.err, context.DeadlineExceeded) {
		c.metrics.Timeouts.Inc()
	}
}

// handle calls the handler and makes an error of a panic.
func (c *controller) handle(ctx context.Context, req handlers.Request) (result handlers.Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.metrics.Panics.Inc()
			p := newPanic(r)
			logr.FromContextOrDiscard(ctx).Error(p, "handler panicked", "stack", string(p.stack))
			result, err = handlers.Result{}, p
		}
	}()
	return c.handler.Handle(ctx, req)
}

// begin notes that a call is under way until the returned function is called, so that a call that ignores its deadline becomes the
// definition's state. All calls share one timer, which mostly finds that those it was set for have returned long since.
func (c *controller) begin(key kube.Key) (returned func()) {
	c.mu.Lock()
	c.running[key] = time.Now()
	if !c.deadlinesSet {
		c.watchFor(c.def.Timeout + overdueGrace)
	}
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		_, late := c.overdue[key]
		delete(c.overdue, key)
		delete(c.running, key)
		c.mu.Unlock()
		if late {
			c.refresh()
		}
	}
}

// watchFor sets the timer; c.mu is held.
func (c *controller) watchFor(d time.Duration) {
	c.deadlinesSet = true
	if c.deadlines == nil {
		c.deadlines = time.AfterFunc(d, c.findOverdue)
		return
	}
	c.deadlines.Reset(d)
}

// findOverdue is called by the timer.
func (c *controller) findOverdue() {
	c.mu.Lock()
	limit, next, found := c.def.Timeout+overdueGrace, time.Duration(0), false
	for key, begun := range c.running {
		if _, known := c.overdue[key]; known {
			continue
		}
		left := limit - time.Since(begun)
		switch {
		case left <= 0:
			c.overdue[key], found = begun, true
		case next == 0 || left < next:
			next = left
		}
	}
	if c.deadlinesSet = next > 0; c.deadlinesSet {
		c.watchFor(next)
	}
	c.mu.Unlock()
	if found {
		c.refresh()
	}
}

// endWatch stops the timer when every call has returned.
func (c *controller) endWatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadlines != nil {
		c.deadlines.Stop()
	}
	c.deadlinesSet = false
}

// runningCalls returns the sum of the times that calls under way have taken so far, and the longest of them.
func (c *controller) runningCalls() (sum, longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, begun := range c.running {
		took := time.Since(begun)
		sum += took
		longest = max(longest, took)
	}
	return sum, longest
}

func describeOverdue(calls map[kube.Key]time.Time) string {
	for key, since := range calls {
		return fmt.Sprintf("%d call(s) ignore the deadline; %s is being handled since %s", len(calls),
			telemetry.ObjectName(key.Namespace, key.Name), since.UTC().Format(time.RFC3339))
	}
	return ""
}
