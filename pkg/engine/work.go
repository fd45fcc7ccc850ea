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

// stalePoll is how often an object is looked at that is kept back because the cache lags behind a write of its handler.
const stalePoll = 50 * time.Millisecond

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
	if f := c.filter; f != nil {
		ask = f.call
		workers.Go(func() { f.run(taking) })
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
	c.endWatch()
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
	if c.predicate != nil {
		c.filter = newEventFilter(c.predicate, c.view, c.metrics, q.Add)
	}
	return q
}

// closeQueue forgets what this term has learnt of objects: the next leader starts from the objects alone.
func (c *controller) closeQueue() {
	c.mu.Lock()
	c.queue, c.filter = nil, nil
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
	in := intake{queue: q, limits: &c.limits}
	defer in.dropSlot()
	for {
		item, ok := in.take(taking)
		if !ok {
			return
		}
		if drain.Err() != nil || taking.Err() != nil || !c.gate.Open() { // With a shut gate the term is over by the clocks; its context is about to end.
			in.settle(false)
			q.Done(item.Key)
			<-taking.Done()
			return
		}
		obj, ok := c.object(q, item)
		in.settle(ok)
		if ok {
			if item.Attempt > 0 {
				c.metrics.Retries.Inc()
			}
			outcome := c.call(calls, handlers.Request{Object: obj, Cause: causes[item.Priority], Attempt: item.Attempt})
			c.follow(q, item, outcome)
		}
	}
}

// object returns what is to be handled, if it is there and can be handled now; else it tells the queue.
func (c *controller) object(q *queue.Queue[kube.Key], item queue.Item[kube.Key]) (handlers.Object, bool) {
	if !c.own.Ready(item.Key) {
		q.Postpone(item.Key, item.Priority, stalePoll) // The change in the cache is mostly faster.
		return nil, false
	}
	obj, ok := c.view.Get(item.Key.Namespace, item.Key.Name)
	if !ok {
		q.Done(item.Key) // Not Drop: the object may be created again at this moment.
		return nil, false
	}
	if f := c.filter; f != nil {
		f.handled(obj)
	}
	return obj, true
}

// follow tells the queue what comes after a call.
func (c *controller) follow(q *queue.Queue[kube.Key], item queue.Item[kube.Key], outcome outcome) {
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
		if delay > 0 { // It is retried, and no other call is due before.
			outcome.logger = outcome.logger.WithValues("retryAfter", delay)
		}
		c.failed(outcome, item, failure{exhausted: exhausted})
	}
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
