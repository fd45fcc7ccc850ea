package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// errTimeout is the cause of a context that the definition's timeout has ended.
var errTimeout = errors.New("the definition's timeout has passed")

// The functions of a handler, as logs and states name them.
const (
	handleFunction   = "Handle"
	finalizeFunction = "Finalize"
)

// reconciler calls the handler of a definition and tells the queue what follows.
type reconciler struct {
	plugin    string
	finalizer string // of the definition; empty for none
	// finalizers are those that its objects may have, also those of a composer.
	finalizers []string
	handler    handlers.Handler
	composes   bool // the handler is that of a composer, which not every call asks
	timeout    time.Duration
	queue      *queue.Queue[kube.Key]
	objects    *objectState
	// cached returns an object if it is one of those that the definition handles by now.
	cached func(kube.Key) (handlers.Object, bool)
	// excludes reports whether the definition leaves an object out by now.
	excludes func(context.Context, handlers.Object) bool
	calls    *callTracker
	past     pastCalls
	metrics  *telemetry.Controller
	logger   logr.Logger
}

// outcome is what became of one call.
type outcome struct {
	result    handlers.Result
	err       error
	cancelled bool // the work ended, and the call with it
	asked     func() bool
	duration  time.Duration
	logger    logr.Logger
	call      *kube.Call
	redaction *compose.Redaction // nil for a composer, which redacts what it returns
}

// sequel is what follows a call.
type sequel struct {
	result string        // in the words of statusz.Handling
	again  time.Duration // after which another call follows by itself; 0 for none, or for a retry at once
}

// reconcile calls the handler once and then completes the item. It returns only when the handler
// has returned, also after its deadline: the key stays locked until then, because two calls for one
// object must never overlap. If the handler calls runtime.Goexit, the item is completed like that
// of a panic, and then the goroutine ends.
func (r *reconciler) reconcile(ctx context.Context, item queue.Item[kube.Key], obj handlers.Object) {
	o := outcome{logger: telemetry.ForCall(r.logger, item.Key.Namespace, item.Key.Name, rand.Uint64())} //nolint:gosec // a name for log lines, not a secret
	function := handleFunction
	if finalize, _ := finalizable(r.finalizer, obj); finalize {
		function = finalizeFunction
		o.logger = o.logger.WithValues("function", function)
	}
	callCtx, cancel := context.WithTimeoutCause(r.callContext(ctx, &o, item.Key), r.timeout, errTimeout)
	defer cancel()
	if item.Attempt > 0 {
		r.metrics.Retries.Inc()
	}
	req := handlers.Request{Object: obj, Cause: causes[item.Priority], Attempt: item.Attempt}
	if verbose := o.logger.V(1); verbose.Enabled() {
		verbose.Info("handling object", "cause", req.Cause, "attempt", req.Attempt, "resourceVersion", obj.ResourceVersion())
	}
	start, cause := time.Now(), r.past.log.Take(item.Key)
	r.metrics.Busy.Inc()
	call := r.calls.begin(r.plugin, function, item.Key, start, r.timeout)
	returned := false
	defer func() {
		if !returned {
			o.err = newCrash(recover())
		}
		o.duration, o.cancelled = time.Since(start), o.err != nil && ctx.Err() != nil
		if o.err != nil && o.redaction != nil {
			o.err = o.redaction.Error(obj, o.err)
		}
		r.observe(callCtx, &o)
		r.calls.end(call)
		r.noteDeletion(item.Key, obj, o.err)
		r.past.add(item, start, cause, o, r.complete(ctx, item, o))
	}()
	o.result, o.err = r.handler.Handle(callCtx, req)
	returned = true
}

// callContext is the context of one call without its deadline.
func (r *reconciler) callContext(ctx context.Context, o *outcome, key kube.Key) context.Context {
	o.call = kube.NewCall(key, r.past.writes())
	ctx = kube.WithCall(logr.NewContext(ctx, o.logger), o.call)
	if r.composes {
		ctx, o.asked = compose.TrackAsking(ctx)
		return ctx
	}
	o.asked, o.redaction = func() bool { return true }, &compose.Redaction{}
	return o.redaction.Context(ctx)
}

// observe counts and logs what became of a call.
func (r *reconciler) observe(callCtx context.Context, o *outcome) {
	r.metrics.Busy.Dec()
	r.metrics.Processed(o.duration, o.err == nil)
	if crash := crashed(o.err); crash != nil {
		r.metrics.Panics.Inc()
		o.logger.Error(o.err, "handler panicked", "stack", string(crash.stack)) // of o.err, the secrets are gone
	}
	if o.err != nil && !o.cancelled {
		r.countTimeout(callCtx, o)
	}
	if verbose := o.logger.V(1); verbose.Enabled() {
		verbose.Info("handled object", "duration", o.duration, "success", o.err == nil, "cancelled", o.cancelled)
	}
}

// countTimeout counts a call that failed because of a deadline: the definition's, or an earlier one
// that the handler has set.
func (r *reconciler) countTimeout(callCtx context.Context, o *outcome) {
	if errors.Is(context.Cause(callCtx), errTimeout) {
		o.err = fmt.Errorf("after the timeout of %s: %w", r.timeout, o.err)
		r.metrics.Timeouts.Inc()
	} else if errors.Is(o.err, context.DeadlineExceeded) {
		r.metrics.Timeouts.Inc()
	}
}

// complete tells the queue what follows a call.
func (r *reconciler) complete(ctx context.Context, item queue.Item[kube.Key], o outcome) sequel {
	switch {
	case o.err == nil:
		r.objects.succeeded(item.Key, o.asked())
		if o.result.RequeueAfter > 0 {
			r.queue.Requeue(item.Key, o.result.RequeueAfter)
			return sequel{result: resultRequeue, again: o.result.RequeueAfter}
		}
		r.queue.Done(item.Key)
		return sequel{result: resultDone}
	case o.cancelled:
		r.queue.Done(item.Key)
		return sequel{result: resultCancelled}
	case handlers.IsTerminal(o.err):
		r.metrics.Terminal.Inc()
		r.queue.Done(item.Key)
		r.failed(ctx, o, item, failure{terminal: true})
		return sequel{result: resultTerminal}
	default:
		delay, exhausted := r.retry(item.Key, o.err)
		if delay > 0 { // It is retried, and no other call is due before.
			o.logger = o.logger.WithValues("retryAfter", delay)
		}
		_, putOff := handlers.RetryDelay(o.err)
		r.failed(ctx, o, item, failure{exhausted: exhausted, outage: handlers.IsUnavailable(o.err), putOff: putOff})
		switch {
		case exhausted:
			return sequel{result: resultExhausted}
		case crashed(o.err) != nil:
			return sequel{result: resultPanic, again: delay}
		default:
			return sequel{result: resultRetry, again: delay}
		}
	}
}

// retrier is an error that says when to try again.
type retrier interface {
	error
	RetryAfter() time.Duration
}

// retry asks for another call, after the delay that the error asks for or else the backoff. What a
// handler puts off, and what is not about the object, is no failure that uses up retries.
func (r *reconciler) retry(key kube.Key, err error) (delay time.Duration, exhausted bool) {
	if after, ok := handlers.RetryDelay(err); ok || handlers.IsUnavailable(err) {
		return queue.RetryAlways(r.queue, key, after), false
	}
	var after time.Duration // 0 is the backoff
	if asking, ok := errors.AsType[retrier](err); ok {
		after = asking.RetryAfter()
	}
	return r.queue.Retry(key, after)
}

// failed logs a failed call and records it, unless the object is gone by now, or left out and not
// called for any more, or another revision handles other objects: nothing would remove it.
func (r *reconciler) failed(ctx context.Context, o outcome, item queue.Item[kube.Key], entry failure) {
	entry.attempts, entry.message, entry.asked = item.Attempt-item.PutOffs+1, o.err.Error(), o.asked()
	entry.refused, entry.forbidden = compose.IsAboutChildren(o.err), kube.LacksRight(o.err)
	_, entry.stays = errors.AsType[retrier](o.err)
	if entry.putOff && !entry.outage {
		r.metrics.Passing.Inc()
	}
	logger := o.logger.WithValues("attempt", item.Attempt+1, "duration", o.duration)
	switch {
	case entry.outage: // The state of the definition says it once.
		logger.V(1).Info("handling object was not possible", telemetry.KeyReason, entry.message)
	case entry.putOff:
		logger.V(1).Info("handling object was put off", telemetry.KeyReason, entry.message)
	case entry.terminal:
		logger.Error(o.err, "handling object ended in a terminal error, not retried until it changes")
	case entry.exhausted:
		logger.Error(o.err, "handling object failed, out of retries until it changes")
	default:
		logger.Error(o.err, "handling object failed")
	}
	r.objects.failed(item.Key, entry, func() bool {
		now, ok := r.cached(item.Key)
		return ok && (!isIdle(r.queue, item.Key) || !r.excludes(ctx, now))
	})
}

// causes are the queue's priorities in the words of the handler contract.
var causes = map[queue.Priority]handlers.Cause{
	queue.Change:  handlers.CauseChange,
	queue.Retry:   handlers.CauseRetry,
	queue.Requeue: handlers.CauseRequeue,
	queue.Resync:  handlers.CauseResync,
	queue.Initial: handlers.CauseInitial,
}
