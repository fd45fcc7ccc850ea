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

// staleRetry is after how long an object is looked at again that is postponed because the cache
// lags behind a write of its handler.
const staleRetry = 50 * time.Millisecond

// listedInterval is how often a worker looks whether all caches have been complete.
const listedInterval = 50 * time.Millisecond

// What ends the calls that are still under way when the shutdown timeout has passed.
var (
	errShutdown = errors.New("kooperd is shutting down")
	errEnded    = errors.New("the definition was removed, paused or moved to another group of replicas")
)

// Drain is closed when no new call may begin.
type Drain <-chan struct{}

func (d Drain) ended() bool {
	select {
	case <-d:
		return true
	default:
		return false
	}
}

// phases are the ends of the work in one term. They are named, so that none is taken for another.
type phases struct {
	// taking ends when no new call may begin, by whichever of term and drain ends first.
	taking context.Context //nolint:containedctx // a parameter object, see above
	// calls is the parent of every call's context.
	calls context.Context //nolint:containedctx // a parameter object, see above
	// drain is asked for itself, because its end reaches taking a moment late.
	drain Drain
}

// dispatcher lets the workers of one revision handle the keys of a queue. The queue belongs to the
// definition's term and outlives the dispatcher, when another revision for the same kind takes
// over.
type dispatcher struct {
	revision   *revision
	queue      *queue.Queue[kube.Key]
	filter     *eventFilter // nil: every event adds its key
	reconciler *reconciler
	leaving    leaving
	phases     phases // taking ends with the dispatcher, too
	asking     asking

	stop    context.CancelFunc // ends taking
	running sync.WaitGroup

	mu      sync.Mutex
	workers []*workerSlot
	handed  bool // another dispatcher has taken over, and no worker may begin any more

	held heldKeys
}

// workerSlot is the place of one worker. It begins when the workers of earlier revisions whose
// place it takes have returned.
type workerSlot struct {
	awaited []<-chan struct{} // closed when those have returned
	began   bool
	ended   chan struct{} // closed when this one has returned, if it has begun
}

// newDispatcher makes the dispatcher of a revision; start must follow. current returns the revision
// that is active at that moment.
func newDispatcher(r *revision, q *queue.Queue[kube.Key], p phases, current func() *revision) *dispatcher {
	taking, stop := context.WithCancel(p.taking)
	p.taking = taking
	d := &dispatcher{revision: r, queue: q, leaving: leaving{r.composing}, phases: p, stop: stop}
	d.reconciler = r.newReconciler(q, current)
	d.asking.add, d.asking.inherited = q.Add, func(key kube.Key, p queue.Priority) { inherit(d, key, p) }
	if r.predicate != nil {
		d.filter = newEventFilter(r.predicate, r.watches.primary(), r.state.metrics, d.asking.ask)
		d.filter.admits = r.state.past.changed
		d.filter.hasLeft = d.leaving.hasLeft
		d.filter.refused = func(ctx context.Context, obj handlers.Object, p pendingEvent) { takeRefused(ctx, d, obj, p) }
	}
	return d
}

// start adds every key that exists and begins to work. previous, which may be nil, is the
// dispatcher that this one takes over from: it takes no more keys, and each of its calls under way
// keeps one of the new workers waiting, so that there are never more calls than workers.
func (d *dispatcher) start(term phases, previous *dispatcher) {
	if d.filter != nil {
		d.running.Go(func() { d.filter.run(term.taking, acceptance{d.phases.taking}) })
	}
	n := workersOf(d.revision.def)
	for range n {
		d.workers = append(d.workers, &workerSlot{ended: make(chan struct{})})
	}
	var earlier []<-chan struct{} // closed when the calls of earlier revisions have returned
	if previous != nil {
		takeOver(d, previous)
		d.revision.limits.rate.inherit(previous.revision.limits.rate)
		for i, awaited := range previous.handOver() {
			slot := d.workers[i%n]
			slot.awaited = append(slot.awaited, awaited...)
			earlier = append(earlier, awaited...)
		}
	}
	begun := make(chan struct{})
	if d.revision.composing == nil {
		close(begun)
	} else {
		d.running.Go(func() {
			if d.revision.composing.begin(d.phases.taking, d.running.Go, d.changed, d.look, d.call, earlier) {
				close(begun)
			}
		})
	}
	d.addAll()
	d.running.Go(d.resync)
	for _, slot := range d.workers {
		d.running.Go(func() {
			if d.begin(slot, begun) {
				d.work(slot.ended)
			}
		})
	}
}

// begin waits until a worker may begin. It returns false when the dispatcher has ended before: a
// call that never returns must not keep every later revision waiting, and in memory.
func (d *dispatcher) begin(slot *workerSlot, begun <-chan struct{}) bool {
	for _, other := range append([]<-chan struct{}{begun}, slot.awaited...) {
		select {
		case <-other:
		case <-d.phases.taking.Done():
			return false
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	slot.began = !d.handed
	return slot.began
}

// handOver ends the taking of keys and returns for each worker what its successor has to wait for.
func (d *dispatcher) handOver() [][]<-chan struct{} {
	d.stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handed = true
	awaited := make([][]<-chan struct{}, len(d.workers))
	for i, slot := range d.workers {
		if awaited[i] = slot.awaited; slot.began {
			awaited[i] = []<-chan struct{}{slot.ended}
		}
	}
	return awaited
}

// addAll asks for a call of every key.
func (d *dispatcher) addAll() {
	keys := d.revision.composing.order(d.revision.watches.primary())
	if d.filter == nil {
		d.queue.AddAll(keys)
		return
	}
	for _, key := range keys {
		d.filter.call(key, queue.Initial)
	}
}

// wait waits until every worker has returned.
func (d *dispatcher) wait() {
	<-d.phases.taking.Done()
	d.running.Wait()
}

func workersOf(def config.Definition) int {
	if def.Mode == config.Sequential {
		return 1
	}
	return max(def.Workers, 1)
}

// ask asks for a call that is not for a change.
func (d *dispatcher) ask(key kube.Key, p queue.Priority) {
	if d.filter != nil {
		d.filter.call(key, p)
		return
	}
	d.asking.ask(key, p)
}

// resync asks for a call of every key once per period.
func (d *dispatcher) resync() {
	if d.revision.def.Resync <= 0 {
		return
	}
	queue.Resyncer[kube.Key]{
		Period: d.revision.def.Resync,
		Keys:   func() iter.Seq[kube.Key] { return slices.Values(d.revision.watches.primary().Keys()) },
		Hash:   func(k kube.Key) uint64 { return queue.Hash(k.Namespace, k.Name) },
		Due:    func(k kube.Key) { d.ask(k, queue.Resync) },
	}.Run(d.phases.taking)
}

// onEvent takes an event of one of the revision's watches, on a goroutine of the source.
func (d *dispatcher) onEvent(w *watched, e kube.Event) {
	switch {
	case w.notify != nil:
		w.notify(e, calledBy(d, w, e))
	case e.Type == kube.Listed:
		d.ask(e.Key, queue.Initial)
	case e.Type == kube.Deleted:
		if d.filter != nil {
			d.filter.forget(e.Key)
		}
		d.queue.Drop(e.Key)
		d.held.drop(e.Key)
		d.revision.state.past.log.Take(e.Key)
		if d.leaving.gone(e) {
			d.queue.Add(e.Key, queue.Change)
		}
	case d.revision.composing != nil && d.revision.composing.isOwn(e, changedBy(d, e)):
	case d.revision.def.Finalizer != "" && e.OnlyAddsFinalizer(d.revision.def.Finalizer):
		// The call that adds the finalizer goes on with this state.
	case d.filter != nil:
		d.filter.change(e)
	default:
		d.revision.state.past.changed(e)
		d.asking.ask(e.Key, queue.Change)
	}
}

// changedBy is changed for a change of the object itself that turns out later to be one.
func changedBy(d *dispatcher, e kube.Event) func(kube.Key) {
	return func(key kube.Key) {
		d.revision.state.past.changed(e)
		d.changed(key)
	}
}

// calledBy is changed for an event of another object.
func calledBy(d *dispatcher, w *watched, e kube.Event) func(kube.Key) {
	return func(key kube.Key) {
		d.revision.state.past.calledBy(key, w.watch.Kind.Kind, e.Key)
		d.changed(key)
	}
}

// changed asks for a call because of something else than the object itself.
func (d *dispatcher) changed(key kube.Key) { d.ask(key, queue.Change) }

// look asks for a call because of what is said elsewhere, which begins no backoff anew.
func (d *dispatcher) look(key kube.Key) { d.ask(key, queue.Resync) }

// call asks for a call whatever the filter says.
func (d *dispatcher) call(key kube.Key) { d.queue.Add(key, queue.Resync) }

// awaitListed waits until every cache that the calls depend on has been complete. Kinds that are
// not served are waited for by each object, see object. It returns false when no call may begin any
// more.
func (d *dispatcher) awaitListed() bool {
	for len(d.revision.watches.watches) > 1 && !d.revision.watches.listedButAbsent() {
		again := time.NewTimer(listedInterval)
		select {
		case <-again.C:
		case <-d.phases.drain:
			again.Stop()
			return false
		case <-d.phases.taking.Done():
			again.Stop()
			return false
		}
	}
	return true
}

// work is a worker: it handles one object after another, and closes ended at its end. A handler
// that calls runtime.Goexit ends the goroutine, so another one goes on.
func (d *dispatcher) work(ended chan struct{}) {
	returned := false
	defer func() {
		if returned {
			close(ended)
		} else {
			d.running.Go(func() { d.work(ended) })
		}
	}()
	keys := throttledQueue{queue: d.queue, limits: d.revision.limits}
	defer keys.releaseSlot()
	for d.step(&keys) {
	}
	returned = true
}

// step handles one object. It returns false when there is nothing more to do.
func (d *dispatcher) step(keys *throttledQueue) bool {
	if !d.awaitListed() {
		return false
	}
	item, ok := keys.next(d.phases.taking)
	if !ok {
		return false
	}
	release := d.awaitTurn(item)
	defer release()
	if !d.mayWork(item.Key) {
		keys.abort()
		d.asking.postpone(d.queue, item, 0)
		<-d.phases.taking.Done()
		return false
	}
	obj, ok := d.object(item)
	if !ok {
		keys.abort()
		return true
	}
	keys.commit()
	d.reconciler.reconcile(d.phases.calls, item, obj)
	return true
}

// awaitTurn waits until a call may begin if it is one of those that a term begins with. The
// returned function follows its end.
func (d *dispatcher) awaitTurn(item queue.Item[kube.Key]) (release func()) {
	if item.Priority == queue.Initial && d.revision.composing != nil {
		if release := d.revision.composing.controller.initial.acquire(d.phases.taking); release != nil {
			return release
		}
	}
	return func() {}
}

// mayWork reports whether a call for key may begin now. Nothing else asks. A gate that is shut
// while taking has not ended means that the term is over by the clocks, and its context about to
// end.
func (d *dispatcher) mayWork(kube.Key) bool {
	return !d.phases.drain.ended() && d.phases.taking.Err() == nil && d.revision.gate.Open()
}

// object returns what is to be handled, if it is there and can be handled now; else it tells the
// queue.
func (d *dispatcher) object(item queue.Item[kube.Key]) (handlers.Object, bool) {
	if !d.revision.objects.own.Ready(item.Key) {
		d.asking.postpone(d.queue, item, staleRetry) // The change mostly arrives before.
		return nil, false
	}
	obj, ok := d.revision.watches.primary().Get(item.Key.Namespace, item.Key.Name)
	if !ok {
		if obj, ok = d.leaving.leaver(item.Key); ok {
			return obj, true
		}
		d.queue.Done(item.Key) // Not Drop: the object may be created again at this moment.
		return nil, false
	}
	if len(d.revision.watches.watches) > 1 && !d.revision.watches.listed() && !d.leaving.isLeaving(obj) {
		d.queue.Done(item.Key)
		d.hold(item)
		return nil, false
	}
	if _, left := finalizable(d.revision.def.Finalizer, obj); left {
		d.revision.objects.gone(item.Key) // It was finalized, or never handled.
		d.queue.Done(item.Key)
		return nil, false
	}
	if d.filter != nil {
		d.filter.handled(obj)
	}
	return obj, true
}

// queueObserver keeps the metrics of the queue.
type queueObserver struct{ metrics *telemetry.Controller }

func (o queueObserver) Added(p queue.Priority, _ bool) {
	o.metrics.Queued(p == queue.Retry || p == queue.Requeue)
}
func (o queueObserver) Got(_ queue.Priority, waited time.Duration) { o.metrics.Waited(waited) }
func (o queueObserver) Depth(keys int)                             { o.metrics.QueueLength(keys) }
