package engine

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/telemetry"
)

const (
	// staleLimit is how long an object is kept back because the cache lags behind a write of its handler.
	staleLimit = 5 * time.Second
	// stalePoll is how often that is looked at; the change in the cache is mostly faster.
	stalePoll = 50 * time.Millisecond
)

// errShutdown ends the calls that are still under way when the shutdown timeout has passed.
var errShutdown = errors.New("kooperd is shutting down")

// work handles the definition's objects until ctx or drain ends.
func (c *controller) work(ctx, drain context.Context) {
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	defer context.AfterFunc(drain, stopTaking)()
	select {
	case <-c.built:
	case <-taking.Done():
		return
	}
	calls, endCalls := context.WithCancelCause(ctx)
	defer endCalls(nil)

	q := c.openQueue()
	defer c.closeQueue()
	var workers sync.WaitGroup
	ask := q.Add // for a call that is not for a change
	if j := c.judge; j != nil {
		ask = j.call
		workers.Go(func() { j.run(taking) })
	}
	for _, key := range c.view.Keys() {
		ask(key, queue.Initial)
	}
	workers.Go(func() { c.resync(taking, ask) })
	n := c.workers()
	for range n {
		workers.Go(func() { c.worker(taking, drain, calls, q) })
	}
	c.metrics.Workers.Set(float64(n))
	defer c.metrics.Workers.Set(0)

	<-taking.Done()
	q.ShutDown()
	timer := time.AfterFunc(c.shutdown, func() { endCalls(errShutdown) })
	defer timer.Stop()
	workers.Wait()
}

func (c *controller) workers() int {
	if c.def.Mode == config.Sequential {
		return 1
	}
	return c.def.Workers
}

// openQueue makes the queue of this term. From here on events come in, so whoever lists the cache now misses nothing.
func (c *controller) openQueue() *queue.Queue[kube.Key] {
	q := queue.New[kube.Key](queue.Options{
		Backoff: queue.Backoff{
			Initial: c.def.Retry.InitialDelay, Max: c.def.Retry.MaxDelay, MaxRetries: c.def.Retry.MaxRetries,
		},
		Observer: observer{c.metrics},
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = q
	if c.triggers != nil {
		c.judge = newJudge(c.triggers, c.view, c.metrics, q.Add)
	}
	return q
}

// closeQueue forgets what this term has learnt of objects: the next leader starts from the objects alone.
func (c *controller) closeQueue() {
	c.mu.Lock()
	c.queue, c.judge = nil, nil
	clear(c.stale)
	c.mu.Unlock()
	c.metrics.QueueLength(0)
	c.failures.clear()
	c.refresh()
}

// resync adds every key once per period.
func (c *controller) resync(ctx context.Context, ask func(kube.Key, queue.Priority)) {
	if c.def.Resync <= 0 {
		return
	}
	queue.Resyncer[kube.Key]{
		Period: c.def.Resync,
		Keys:   func() iter.Seq[kube.Key] { return slices.Values(c.view.Keys()) },
		Hash:   func(k kube.Key) uint64 { return queue.Hash(k.Namespace, k.Name) },
		Due:    func(k kube.Key) { ask(k, queue.Resync) },
	}.Run(ctx)
}

// worker handles one object after another. The end of drain reaches taking a moment late, so it is asked for itself: an
// object that is taken after it is not handled.
func (c *controller) worker(taking, drain, calls context.Context, q *queue.Queue[kube.Key]) {
	for {
		item, ok := q.Get(taking)
		if !ok {
			return
		}
		if drain.Err() != nil {
			q.Done(item.Key)
			return
		}
		if !c.gate.Open() { // The term is over by the clocks; its context is about to end.
			q.Done(item.Key)
			<-taking.Done()
			return
		}
		c.process(calls, q, item)
	}
}

// process handles one object and tells the queue what comes next.
func (c *controller) process(ctx context.Context, q *queue.Queue[kube.Key], item queue.Item[kube.Key]) {
	obj, ok := c.view.Get(item.Key.Namespace, item.Key.Name)
	if !ok {
		q.Done(item.Key) // Not Drop: the object may be created again at this moment.
		return
	}
	if !c.caught(q, item, obj) {
		return
	}
	outcome := c.call(ctx, handlers.Request{Object: obj, Cause: causes[item.Priority], Attempt: item.Attempt})
	switch {
	case outcome.err == nil:
		if c.failures.forget(item.Key) {
			c.refresh()
		}
		if outcome.result.RequeueAfter > 0 {
			q.Requeue(item.Key, outcome.result.RequeueAfter)
			return
		}
		q.Done(item.Key)
	case outcome.cancelled:
		q.Done(item.Key)
	case handlers.IsTerminal(outcome.err):
		c.metrics.Terminal.Inc()
		q.Done(item.Key)
		c.failed(outcome, item, failure{terminal: true})
	default:
		delay, exhausted := q.Retry(item.Key)
		if delay > 0 { // Neither out of retries nor shutting down.
			c.metrics.Retries.Inc()
			outcome.logger = outcome.logger.WithValues("retryAfter", delay)
		}
		c.failed(outcome, item, failure{exhausted: exhausted})
	}
}

// caught tells whether the cache has caught up with what the handler itself has written to an object. If not, the object is
// handled when it has, which the change in the cache tells, or at last when nobody can explain why it does not.
func (c *controller) caught(q *queue.Queue[kube.Key], item queue.Item[kube.Key], obj handlers.Object) bool {
	if c.own.Caught(item.Key, obj.ResourceVersion()) {
		c.mu.Lock()
		delete(c.stale, item.Key)
		c.mu.Unlock()
		return true
	}
	c.mu.Lock()
	since, waiting := c.stale[item.Key]
	if !waiting {
		since = time.Now()
		c.stale[item.Key] = since
	}
	left := staleLimit - time.Since(since)
	if left <= 0 {
		delete(c.stale, item.Key)
	}
	c.mu.Unlock()
	if left <= 0 {
		c.own.Forget(item.Key)
		c.logger.V(1).Info("the cache does not catch up with a write of the handler", telemetry.KeyObject, telemetry.ObjectName(item.Key.Namespace, item.Key.Name))
		return true
	}
	q.Postpone(item.Key, item.Priority, min(left, stalePoll))
	return false
}

// failed logs a failed call and records it. An object that is gone by now is not recorded: nothing would remove it.
func (c *controller) failed(o outcome, item queue.Item[kube.Key], entry failure) {
	entry.attempts, entry.message = item.Attempt+1, o.err.Error()
	logger := o.logger.WithValues("attempt", entry.attempts, "duration", o.duration)
	switch {
	case entry.terminal:
		logger.Error(o.err, "handling object ended in a terminal error, not retried until it changes")
	case entry.exhausted:
		logger.Error(o.err, "handling object failed, out of retries until it changes")
	default:
		logger.Error(o.err, "handling object failed")
	}
	c.failures.add(item.Key, entry)
	if _, ok := c.view.Get(item.Key.Namespace, item.Key.Name); !ok {
		c.failures.forget(item.Key)
	}
	c.refresh()
}

// causes are the queue's priorities in the words of the handler contract.
var causes = map[queue.Priority]handlers.Cause{
	queue.Change:  handlers.CauseChange,
	queue.Retry:   handlers.CauseRetry,
	queue.Requeue: handlers.CauseRequeue,
	queue.Resync:  handlers.CauseResync,
	queue.Initial: handlers.CauseInitial,
}

// observer tells the metrics of the queue.
type observer struct{ metrics *telemetry.Controller }

func (o observer) Added(p queue.Priority, _ bool) {
	o.metrics.Queued(p == queue.Retry || p == queue.Requeue)
}
func (o observer) Got(_ queue.Priority, waited time.Duration) { o.metrics.Waited(waited) }
func (o observer) Depth(keys int)                             { o.metrics.QueueLength(keys) }
