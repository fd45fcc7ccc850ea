package kube

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

// View is what one definition sees: one source for each namespace it watches. It is safe for concurrent use, but for
// Close, which is called once, by its owner.
type View struct {
	owner   *Sources
	sources []viewedSource
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
			e.old = nil // To the view it was not there.
		}
		return e, true
	case before:
		return Event{Key: e.Key, Type: Deleted, old: e.old}, true
	default:
		return e, false
	}
}

var _ handlers.Lister = (*View)(nil)

// Subscribe calls event for every change of the caches from now on, and status whenever the result of Status may have
// changed. Both are called on the sources' own goroutines, so they must be quick; events of one object arrive in order.
// What is in the caches already is not reported: read Keys after subscribing. The returned function ends the
// subscription; a call that is under way may still finish after it.
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

// Keys returns the keys of all cached objects.
func (v *View) Keys() []Key {
	var keys []Key
	for _, s := range v.sources {
		keys = append(keys, s.store.keys(s.filter)...)
	}
	return keys
}

// Get returns the cached object, or false.
func (v *View) Get(namespace, name string) (handlers.Object, bool) {
	for _, s := range v.sources {
		if s.id.namespace == "" || s.id.namespace == namespace {
			if obj, ok := s.store.get(Key{Namespace: namespace, Name: name}, s.filter); ok {
				return obj, true
			}
		}
	}
	return nil, false
}

// List returns the cached objects of one namespace ("" for all) whose labels match selector (nil for all).
func (v *View) List(namespace string, selector labels.Selector) []handlers.Object {
	var found []handlers.Object
	for _, s := range v.sources {
		if namespace == "" || s.id.namespace == "" || s.id.namespace == namespace {
			found = append(found, s.store.list(namespace, selector, s.filter)...)
		}
	}
	return found
}

// ListOwned returns the cached objects with an owner reference to uid.
func (v *View) ListOwned(uid types.UID) []handlers.Object {
	var found []handlers.Object
	for _, s := range v.sources {
		for _, o := range s.store.owned(uid) {
			if o.matches(s.filter) {
				found = append(found, cached{o})
			}
		}
	}
	return found
}

// Status sums up the sources: the worst state with its reasons.
func (v *View) Status() (status.State, string) {
	worst := status.Running
	var reasons []string
	for _, s := range v.sources {
		state, reason := s.status()
		if severity(state) > severity(worst) {
			worst = state
			reasons = nil
		}
		if state == worst && reason != "" && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	const most = 3
	if n := len(reasons); n > most {
		reasons = append(reasons[:most], fmt.Sprintf("and %d more", n-most))
	}
	return worst, strings.Join(reasons, "; ")
}

// severity orders states: a failure says more than a wait, and a wait more than a first list under way.
func severity(s status.State) int {
	switch s {
	case status.Degraded:
		return 3
	case status.Waiting:
		return 2
	case status.Syncing:
		return 1
	default:
		return 0
	}
}

// Close ends the use of the sources; those without another user stop, and Close waits for them.
func (v *View) Close() {
	waits := make([]func(), 0, len(v.sources))
	for _, s := range v.sources {
		waits = append(waits, v.owner.release(s.sharedSource))
	}
	for _, wait := range waits {
		wait()
	}
}
