package engine

import (
	"context"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
)

// workEnd is what ends the work on a definition.
type workEnd struct {
	term    context.Context //nolint:containedctx // a parameter object
	drain   Drain
	retired <-chan struct{} // the definition was removed
}

func (e workEnd) reached() bool {
	select {
	case <-e.term.Done():
		return true
	case <-e.retired:
		return true
	default:
		return e.drain.ended()
	}
}

// await receives from c. It returns false when the end comes before.
func (e workEnd) await(c <-chan struct{}) bool {
	if e.reached() {
		return false
	}
	select {
	case <-c:
		return true
	case <-e.drain:
	case <-e.retired:
	case <-e.term.Done():
	}
	return false
}

// work handles the definition's objects whenever it is one of the group, until term or drain ends,
// or it is removed. Where it leaves one group for the other, the work in the old group ends before
// that in the new one begins.
func (c *controller) work(term context.Context, drain Drain, group Group) {
	end := workEnd{term: term, drain: drain, retired: c.retired}
	for {
		ours, handover := c.rollout.isOf(group)
		if !ours {
			if end.await(handover) {
				continue
			}
			break
		}
		if !end.await(c.turn) {
			break
		}
		c.handle(end, group)
		c.turn <- struct{}{}
	}
	if drain.ended() {
		c.state.freeze() // The process is stopping; that all is well again would be no news.
	}
}

// handle handles the definition's objects for as long as it is one of the group. After that, calls
// under way may go on for the shutdown timeout.
func (c *controller) handle(end workEnd, group Group) {
	taking, stopTaking := context.WithCancel(end.term)
	defer stopTaking()
	calls, endCalls := context.WithCancelCause(end.term)
	defer endCalls(nil)
	p := phases{taking: taking, calls: calls, drain: end.drain}
	var dispatching sync.WaitGroup
	var last *dispatcher
	for {
		next, ours, handover := c.rollout.dispatch(group, last)
		if next != nil {
			last = c.dispatch(next, last, p, &dispatching)
		}
		if !ours || !end.await(handover) {
			break
		}
	}
	stopTaking()
	if last != nil {
		last.queue.ShutDown()
	}
	cause := errEnded
	if end.drain.ended() {
		cause = errShutdown
	}
	timer := time.AfterFunc(c.shutdown, func() { endCalls(cause) })
	defer timer.Stop()
	dispatching.Wait()
	c.metrics.Workers.Set(0)
	c.dispatcher.Store(nil)
	if end.drain.ended() {
		c.state.freeze() // See above.
	}
	if last != nil {
		last.revision.objects.failures.clear()
		last.revision.objects.deletions.clear()
		last.revision.composing.pause()
	}
	c.state.endWork()
}

// dispatch lets a revision handle objects in place of last, which may be nil. Their queue goes on
// if they handle objects of the same kind.
func (c *controller) dispatch(r *revision, last *dispatcher, p phases, dispatching *sync.WaitGroup) *dispatcher {
	var q *queue.Queue[kube.Key]
	if last != nil && last.revision.objects == r.objects {
		q = last.queue
		r.objects.deletions.clear() // All objects are handled again, and their first calls may note some at once.
	} else {
		q = queue.New[kube.Key](queue.Options{Observer: queueObserver{c.metrics}})
		if last != nil {
			last.queue.ShutDown()
		}
	}
	q.SetBackoff(backoffOf(r.def))
	c.state.past.log.SetKind(r.def.Watch.Kind.GroupKind().String())
	d := newDispatcher(r, q, p, c.rollout.current)
	c.dispatcher.Store(d) // Events come in from here on, so nothing is missed.
	d.start(p, last)
	c.metrics.Workers.Set(float64(workersOf(r.def)))
	dispatching.Go(func() {
		defer r.dispatched.Done()
		d.wait()
	})
	return d
}

func backoffOf(def config.Definition) queue.Backoff {
	return queue.Backoff{Initial: def.Retry.InitialDelay, Max: def.Retry.MaxDelay, MaxRetries: def.Retry.MaxRetries}
}
