package kube

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

// View is what one definition sees: one source for each namespace that it watches. It is safe for
// concurrent use, except Close, which its owner calls once.
type View struct {
	owner       *Sources
	sources     []viewedSource
	byNamespace map[string]viewedSource // the same; below "" the one of all namespaces

	synced  chan struct{} // closed when every source has settled
	closing chan struct{}
	waiting sync.WaitGroup // for the goroutine that closes synced
}

func newView(owner *Sources, sources []viewedSource) *View {
	v := &View{
		owner: owner, sources: sources, byNamespace: make(map[string]viewedSource, len(sources)),
		synced: make(chan struct{}), closing: make(chan struct{}),
	}
	for _, s := range sources {
		v.byNamespace[s.id.namespace] = s
	}
	v.waiting.Go(v.awaitSources)
	return v
}

func (v *View) awaitSources() {
	for _, s := range v.sources {
		select {
		case <-s.status.settled:
		case <-v.closing:
			return
		}
	}
	close(v.synced)
}

// Synced returns a channel that is closed when each source of the view has completed its first
// list, or is known to be unable to: its state is Waiting or Degraded. Before, an object that is
// not in the view may exist nevertheless. It stays open when the view is closed before.
func (v *View) Synced() <-chan struct{} { return v.synced }

// Listed reports whether the caches of all sources are complete: each has been listed, and its kind
// is served. A source that has become Degraded since still counts, though its cache may be old.
// Unlike Synced it does not take a source that cannot list for one that has no objects. It becomes
// false again when a kind is gone.
func (v *View) Listed() bool {
	for _, s := range v.sources {
		if state, _ := s.status.get(); state == status.Waiting || !s.store.isComplete() {
			return false
		}
	}
	return true
}

// sourceOf returns the source that has the objects of a namespace, if there is one. That of
// cluster-scoped objects is "".
func (v *View) sourceOf(namespace string) (viewedSource, bool) {
	if s, ok := v.byNamespace[namespace]; ok {
		return s, true
	}
	s, ok := v.byNamespace[""]
	return s, ok
}

// Reached implements Cache. The view will never have objects of a namespace that it does not watch.
func (v *View) Reached(object Key, resourceVersion string) bool {
	s, ok := v.sourceOf(object.Namespace)
	return !ok || s.store.reached(resourceVersion)
}

// viewedSource is a source and what the view does not see of it.
type viewedSource struct {
	*sharedSource
	filter labels.Selector // nil: it sees everything
}

// seen is an event of the source as the view sees it.
func (s viewedSource) seen(e Event) (_ Event, ok bool) {
	if s.filter == nil {
		return e, true
	}
	before := e.old != nil && e.old.matches(s.filter)
	after := e.now != nil && e.now.matches(s.filter)
	switch {
	case after:
		if !before {
			e.old, e.change = nil, nil // To the view it was not there.
		}
		return e, true
	case before:
		return Event{Key: e.Key, Type: Deleted, old: e.old}, true
	default:
		return e, false
	}
}

var _ handlers.Lister = (*View)(nil)

// Subscribe calls event for every change of the caches from now on, and status whenever the result
// of Status may have changed. Both are called on the sources' own goroutines, so they must be
// quick; events of one object arrive in order. What is in the caches already is not reported: read
// Keys after subscribing. The returned function ends the subscription; a call that is under way may
// still finish after it.
func (v *View) Subscribe(event func(Event), status func()) (cancel func()) {
	subs := make([]*subscriber, 0, len(v.sources))
	for _, s := range v.sources {
		sub := &subscriber{status: status, event: func(e Event) {
			if seen, ok := s.seen(e); ok {
				event(seen)
			}
		}}
		s.subscribers.add(sub)
		subs = append(subs, sub)
	}
	return func() {
		for i, s := range v.sources {
			s.subscribers.remove(subs[i])
		}
	}
}

// Keys returns the keys of all cached objects. The caller must not change them.
func (v *View) Keys() []Key {
	if len(v.sources) == 1 {
		return v.sources[0].store.keys(v.sources[0].filter)
	}
	var keys []Key
	for _, s := range v.sources {
		keys = append(keys, s.store.keys(s.filter)...)
	}
	return keys
}

// Get returns the cached object, or false.
func (v *View) Get(namespace, name string) (handlers.Object, bool) {
	s, ok := v.sourceOf(namespace)
	if !ok {
		return nil, false
	}
	return s.store.get(Key{Namespace: namespace, Name: name}, s.filter)
}

// List returns the cached objects of one namespace ("" for all) whose labels match selector (nil
// for all).
func (v *View) List(namespace string, selector labels.Selector) []handlers.Object {
	if namespace != "" {
		s, ok := v.sourceOf(namespace)
		if !ok {
			return nil
		}
		return s.store.list(namespace, selector, s.filter)
	}
	var found []handlers.Object
	for _, s := range v.sources {
		found = append(found, s.store.list("", selector, s.filter)...)
	}
	return found
}

// GetByUID returns the cached object with this UID, or false. The first call makes an index.
func (v *View) GetByUID(uid types.UID) (handlers.Object, bool) {
	if uid == "" {
		return nil, false
	}
	for _, s := range v.sources {
		for _, o := range s.store.withUID(uid) {
			if o.matches(s.filter) {
				return cachedObject{o}, true
			}
		}
	}
	return nil, false
}

// ListOwned returns the cached objects with an owner reference to uid.
func (v *View) ListOwned(uid types.UID) []handlers.Object {
	var found []handlers.Object
	for _, s := range v.sources {
		for _, o := range s.store.owned(uid) {
			if o.matches(s.filter) {
				found = append(found, cachedObject{o})
			}
		}
	}
	return found
}

// ListAppliedBy returns the cached objects that a field manager has applied. Their Watch has to
// keep several field managers, see AppliedBy. The first call makes an index.
func (v *View) ListAppliedBy(manager string) []handlers.Object {
	var found []handlers.Object
	for _, s := range v.sources {
		for _, o := range appliedBy(s.store.objectCache, manager) {
			if o.matches(s.filter) {
				found = append(found, cachedObject{o})
			}
		}
	}
	return found
}

// Status sums up the sources: the worst state, and why they are in it. The error is nil unless that
// is Waiting or Degraded. errors.As finds a *ForbiddenError, an *UnreachableError and what else
// there is in it; where several sources differ, the first of each kind.
func (v *View) Status() (status.State, error) {
	worst := status.Running
	var reasons sourceErrors
	for _, s := range v.sources {
		state, err := s.status.get()
		if state.Severity() > worst.Severity() {
			worst, reasons = state, nil
		}
		if state == worst && err != nil && !reasons.have(err) {
			reasons = append(reasons, err)
		}
	}
	switch len(reasons) {
	case 0:
		return worst, nil
	case 1:
		return worst, reasons[0]
	default:
		return worst, reasons
	}
}

// sourceErrors are the different reasons of several sources for one state.
type sourceErrors []error

func (e sourceErrors) have(err error) bool {
	return slices.ContainsFunc(e, func(other error) bool { return other.Error() == err.Error() })
}

func (e sourceErrors) Error() string {
	const most = 3
	texts := make([]string, 0, most+1)
	for _, err := range e[:min(len(e), most)] {
		texts = append(texts, err.Error())
	}
	if n := len(e) - most; n > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.As look at each.
func (e sourceErrors) Unwrap() []error { return e }

// Close ends the use of the sources; those without another user stop, and Close waits for them.
func (v *View) Close() {
	close(v.closing)
	v.waiting.Wait()
	waits := make([]func(), 0, len(v.sources))
	for _, s := range v.sources {
		waits = append(waits, v.owner.release(s.sharedSource))
	}
	for _, wait := range waits {
		wait()
	}
}
