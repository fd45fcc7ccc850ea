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

// judge decides for one term which changes call the handler. It has a goroutine and a queue of its own, before the queue of
// the calls: events come on goroutines that all definitions share, so nothing that takes time may be done there, and a key
// that the handler's own queue has taken is called for already, at the expense of a retry or a requeue that it waits for.
//
// Of a key that waits to be decided only the state before the first change and that after the last are kept, so what waits
// is bounded by the number of objects.
type judge struct {
	decider
	view  handlers.Lister
	admit func(key kube.Key, p queue.Priority)
	keys  *queue.Queue[kube.Key] // to be decided

	mu    sync.Mutex
	cases map[kube.Key]openCase
}

// decider makes the decisions; it is *triggers. Its methods are called on the goroutine of the judge and may take their time.
type decider interface {
	// selective tells whether calls that are not for a change are decided on, too.
	selective() bool
	// wantsChange decides on a change.
	wantsChange(ctx context.Context, e kube.Event) bool
	// wants decides on a call for now, before which there was old, or nil.
	wants(ctx context.Context, key kube.Key, now, old handlers.Object) bool
}

// openCase is what is to be decided of an object.
type openCase struct {
	changed bool
	change  kube.Event // all changes together, when changed

	again bool
	as    queue.Priority // of the call that is not for a change, when again
}

func newJudge(d decider, view handlers.Lister, metrics *telemetry.Controller, admit func(kube.Key, queue.Priority)) *judge {
	return &judge{
		decider: d, view: view, admit: admit, cases: map[kube.Key]openCase{},
		keys: queue.New[kube.Key](queue.Options{Observer: undecided{metrics}}),
	}
}

// run decides until ctx ends.
func (j *judge) run(ctx context.Context) {
	defer j.keys.ShutDown()
	for {
		item, ok := j.keys.Get(ctx)
		if !ok {
			return
		}
		j.decide(ctx, item.Key)
		j.keys.Done(item.Key)
	}
}

// change asks for a decision on a change.
func (j *judge) change(e kube.Event) {
	j.mu.Lock()
	c := j.cases[e.Key]
	if c.changed && e.Old() != nil { // Without an old state the object has been created since, and was another one before.
		e = e.Merge(c.change)
	}
	c.changed, c.change = true, e
	j.cases[e.Key] = c
	j.mu.Unlock()
	j.keys.Add(e.Key, queue.Change)
}

// call asks for a decision on a call that is not for a change. Only a condition can refuse it.
func (j *judge) call(key kube.Key, p queue.Priority) {
	if !j.selective() {
		j.admit(key, p)
		return
	}
	j.mu.Lock()
	c := j.cases[key]
	if !c.again || p < c.as {
		c.again, c.as = true, p
	}
	j.cases[key] = c
	j.mu.Unlock()
	j.keys.Add(key, p)
}

// given notes that the handler is given an object: what is to be decided of it is no longer a change from the state before that. If
// not, changes that undo each other would come to nothing, although the handler has seen what was between them.
//
// The cache is read with the cases locked: it has a state before the event of it comes here, so the event of what is newer than
// that comes later.
func (j *judge) given(obj handlers.Object) {
	key := kube.Key{Namespace: obj.Namespace(), Name: obj.Name()}
	j.mu.Lock()
	defer j.mu.Unlock()
	now, ok := j.view.Get(key.Namespace, key.Name)
	if !ok || now.UID() != obj.UID() {
		return // What follows is for the object's end, and for another one of its name.
	}
	c := j.cases[key]
	if now.ResourceVersion() != obj.ResourceVersion() { // The event of it may have been decided already, or is on its way.
		c.changed, c.change = true, kube.NewChange(obj, now)
		j.cases[key] = c
		j.keys.Add(key, queue.Change)
		return
	}
	c.changed, c.change = false, kube.Event{} // The handler is given what they came to.
	if c.again {
		j.cases[key] = c
	} else {
		delete(j.cases, key)
	}
}

// forget drops what is to be decided of an object that is gone.
func (j *judge) forget(key kube.Key) {
	j.mu.Lock()
	delete(j.cases, key)
	j.mu.Unlock()
	j.keys.Drop(key)
}

func (j *judge) decide(ctx context.Context, key kube.Key) {
	j.mu.Lock()
	c := j.cases[key]
	delete(j.cases, key)
	j.mu.Unlock()
	if c.changed && j.wantsChange(ctx, c.change) {
		j.admit(key, queue.Change)
		return
	}
	if !c.again {
		return
	}
	if obj, ok := j.view.Get(key.Namespace, key.Name); ok && j.wants(ctx, key, obj, nil) {
		j.admit(key, c.as)
	}
}

// undecided tells the metrics of the queue of a judge.
type undecided struct{ metrics *telemetry.Controller }

func (undecided) Added(queue.Priority, bool)        {}
func (undecided) Got(queue.Priority, time.Duration) {}
func (u undecided) Depth(keys int)                  { u.metrics.Undecided.Set(float64(keys)) }
