package engine

import (
	"context"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// eventFilter decides for one term which changes call the handler. It has a goroutine and a queue,
// before the queue of the calls. Events come on goroutines that all definitions share, so nothing
// slow may run there. A key in the handler's own queue would be too late to decide on: taking it
// has already cost a pending retry or requeue.
//
// Of a pending key only the state before the first change and the state after the last one are
// kept, so what waits is bounded by the number of objects.
type eventFilter struct {
	predicate
	view  handlers.Lister
	admit func(key kube.Key, p queue.Priority)
	// hasLeft reports whether an object is called for although the decision is against it. changed
	// is false when the call is not for a change.
	hasLeft func(ctx context.Context, obj handlers.Object, changed bool) bool
	refused func(ctx context.Context, obj handlers.Object, p pendingEvent) // is told the objects that are not called for
	admits  func(kube.Event)                                               // is told the changes for which the handler is called
	keys    *queue.Queue[kube.Key]                                         // to be decided on

	mu      sync.Mutex
	pending map[kube.Key]pendingEvent
}

// predicate makes the decisions. Its methods run on the goroutine of the filter and may be slow.
type predicate interface {
	// matchesCalls reports whether calls that are not for a change are decided on, too.
	matchesCalls() bool
	// selects reports whether that decision is about the object as it is, and not about changes.
	selects() bool
	// matchesChange decides on a change.
	matchesChange(ctx context.Context, e kube.Event) bool
	// matches decides on a call for now, before which there was old, or nil.
	matches(ctx context.Context, key kube.Key, now, old handlers.Object) bool
}

// pendingEvent is what waits for a decision about one object.
type pendingEvent struct {
	changed bool
	change  kube.Event // all changes together, when changed

	called   bool
	priority queue.Priority // of the call that is not for a change, when called
	initial  bool           // such a call has been asked for with priority Initial
}

func newEventFilter(
	p predicate, view handlers.Lister, metrics *telemetry.Controller, admit func(kube.Key, queue.Priority),
) *eventFilter {
	return &eventFilter{
		predicate: p, view: view, admit: admit, pending: map[kube.Key]pendingEvent{},
		hasLeft: func(context.Context, handlers.Object, bool) bool { return false }, admits: func(kube.Event) {},
		refused: func(context.Context, handlers.Object, pendingEvent) {},
		keys:    queue.New[kube.Key](queue.Options{Observer: pendingObserver{metrics}}),
	}
}

// acceptance ends when a filter takes no more events. It is a type of its own, so that it cannot be
// swapped with the context in which the filter decides.
type acceptance struct{ context.Context } //nolint:containedctx // see above

// run decides until one of both contexts ends. When only accepting has ended, because another
// filter takes over, it decides on what is pending before it returns.
func (f *eventFilter) run(deciding context.Context, accepting acceptance) {
	defer f.keys.ShutDown()
	for {
		item, ok := f.keys.Get(accepting)
		if !ok {
			break
		}
		f.decide(deciding, item.Key)
		f.keys.Done(item.Key)
	}
	for deciding.Err() == nil && f.keys.TryReserve() {
		if item, ok := f.keys.Take(); ok {
			f.decide(deciding, item.Key)
			f.keys.Done(item.Key)
		}
	}
}

// change asks for a decision on a change.
func (f *eventFilter) change(e kube.Event) {
	f.mu.Lock()
	p := f.pending[e.Key]
	if p.changed && e.Old() != nil { // Without an old state this is a new object of the same name.
		e = e.Merge(p.change)
	}
	p.changed, p.change = true, e
	f.pending[e.Key] = p
	f.mu.Unlock()
	f.keys.Add(e.Key, queue.Change)
}

// call asks for a decision on a call that is not for a change. Only a condition can refuse it.
func (f *eventFilter) call(key kube.Key, priority queue.Priority) {
	if !f.matchesCalls() {
		f.admit(key, priority)
		return
	}
	f.mu.Lock()
	p := f.pending[key]
	if !p.called || priority < p.priority {
		p.called, p.priority = true, priority
	}
	p.initial = p.initial || priority == queue.Initial
	f.pending[key] = p
	f.mu.Unlock()
	f.keys.Add(key, priority)
}

// handled notes that the handler is given an object: a pending change begins from this state, and
// no longer from the one before. If not, changes that undo each other would come to nothing,
// although the handler has seen what was between them.
//
// The cache is read with the pending events locked: it has a state before the event of it arrives
// here, so the event of a newer state comes later.
func (f *eventFilter) handled(obj handlers.Object) {
	key := kube.Key{Namespace: obj.Namespace(), Name: obj.Name()}
	f.mu.Lock()
	defer f.mu.Unlock()
	now, ok := f.view.Get(key.Namespace, key.Name)
	if !ok || now.UID() != obj.UID() {
		return // What follows is for the object's end, and for another one of its name.
	}
	p := f.pending[key]
	if now.ResourceVersion() != obj.ResourceVersion() {
		// The event of the newer state may have been decided on already, or is on its way.
		p.changed, p.change = true, kube.NewChange(obj, now)
		f.pending[key] = p
		f.keys.Add(key, queue.Change)
		return
	}
	p.changed, p.change = false, kube.Event{} // The handler is given what they came to.
	if p.called {
		f.pending[key] = p
	} else {
		delete(f.pending, key)
	}
}

// forget drops what is pending of an object that is gone.
func (f *eventFilter) forget(key kube.Key) {
	f.mu.Lock()
	delete(f.pending, key)
	f.mu.Unlock()
	f.keys.Drop(key)
}

func (f *eventFilter) decide(ctx context.Context, key kube.Key) {
	f.mu.Lock()
	p := f.pending[key]
	delete(f.pending, key)
	f.mu.Unlock()
	if p.changed && f.matchesChange(ctx, p.change) {
		f.admits(p.change)
		f.admit(key, queue.Change)
		return
	}
	obj, ok := f.view.Get(key.Namespace, key.Name)
	switch {
	case !ok:
	case p.called && f.matches(ctx, key, obj, nil):
		f.admit(key, p.priority)
	case f.hasLeft(ctx, obj, p.changed):
		f.admit(key, queue.Change)
	default:
		f.refused(ctx, obj, p)
	}
}

// pendingObserver sets the metric of what waits for a decision.
type pendingObserver struct{ metrics *telemetry.Controller }

func (pendingObserver) Added(queue.Priority, bool)        {}
func (pendingObserver) Got(queue.Priority, time.Duration) {}
func (o pendingObserver) Depth(keys int)                  { o.metrics.Undecided.Set(float64(keys)) }
