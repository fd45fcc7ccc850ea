package election

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
)

// watchEvent is one message of the watcher.
type watchEvent struct {
	kind  watchEventKind
	lease *coordinationv1.Lease // of watchChanged and watchDeleted
	err   error                 // of watchBroken
}

type watchEventKind int

const (
	watchConnected watchEventKind = iota // the watch is open: from now on no change is missed
	watchBroken                          // it does not any more
	watchChanged
	watchDeleted
)

// watcher keeps a watch on the Lease and reports what it sees, until its context ends.
type watcher struct {
	client          LeaseClient
	namespace, name string
	period          time.Duration // the elector's RetryPeriod, which bounds how long a watch is missing
	timeout         time.Duration // until the stream is open
	out             chan<- watchEvent
	reachable       chan struct{} // holds a value when the API server has answered a request since the watch was tried
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	delay := w.period / 4
	for {
		started := time.Now()
		err := w.once(ctx)
		if !w.report(ctx, watchEvent{kind: watchBroken, err: err}) {
			return
		}
		longest := w.period // as often as a renewal is tried: a leader without a watch hears late of an edit
		if answered(err) {
			longest = 4 * w.period // another attempt would be answered alike
		}
		if time.Since(started) > longest {
			delay = w.period / 4 // it stood for a while: an ordinary end
		}
		delay = min(delay, longest)
		if !w.wait(ctx, spread(delay), !answered(err)) {
			return
		}
		delay *= 2
	}
}

// retryNow makes the watcher try again at once if it waits for an API server that did not answer.
func (w *watcher) retryNow() {
	select {
	case w.reachable <- struct{}{}:
	default:
	}
}

// wait waits for d, or until the API server is known to answer if that makes a difference, and
// reports whether ctx was alive all the time.
func (w *watcher) wait(ctx context.Context, d time.Duration, unreachable bool) bool {
	reachable := w.reachable
	if !unreachable {
		reachable = nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-reachable:
	case <-ctx.Done():
		return false
	}
	return true
}

// once watches until the stream ends, and says why it did.
func (w *watcher) once(ctx context.Context) error {
	select {
	case <-w.reachable: // known before this attempt
	default:
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := time.AfterFunc(w.timeout, cancel)
	stream, err := w.client.Watch(ctx, w.namespace, w.name)
	inTime := limit.Stop()
	if err != nil {
		return fmt.Errorf("watching the lease: %w", err)
	}
	defer stream.Stop()
	if !inTime {
		return errors.New("watching the lease: the stream did not stand in time")
	}
	if !w.report(ctx, watchEvent{kind: watchConnected}) {
		return ctx.Err()
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, ok := <-stream.ResultChan():
			if !ok {
				return errors.New("watching the lease: the stream has ended")
			}
			if err := w.forward(ctx, event); err != nil {
				return fmt.Errorf("watching the lease: %w", err)
			}
		}
	}
}

// forward reports one event of the stream.
func (w *watcher) forward(ctx context.Context, event watch.Event) error {
	s := watchEvent{kind: watchChanged}
	switch event.Type {
	case watch.Added, watch.Modified:
	case watch.Deleted:
		s.kind = watchDeleted
	case watch.Error:
		return apierrors.FromObject(event.Object)
	default:
		return nil
	}
	lease, ok := event.Object.(*coordinationv1.Lease)
	if !ok {
		return fmt.Errorf("the stream holds a %T", event.Object)
	}
	if lease.Name != w.name || lease.Namespace != w.namespace {
		return nil // a server that ignores the field selector
	}
	s.lease = lease
	w.report(ctx, s)
	return nil
}

// report hands a watchEvent over. It reports false when ctx ended first.
func (w *watcher) report(ctx context.Context, s watchEvent) bool {
	select {
	case w.out <- s:
		return true
	case <-ctx.Done():
		return false
	}
}
