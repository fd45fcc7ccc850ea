package kube

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// View is what one definition sees: one source for each namespace it watches. It is safe for concurrent use, but for
// Close, which is called once, by its owner.
type View struct {
	owner   *Sources
	sources []*sharedSource
}

var _ handlers.Lister = (*View)(nil)

// Subscribe calls event for every change of the caches from now on, and status whenever the result of Status may have
// changed. Both are called on the sources' own goroutines, so they must be quick; events of one object arrive in order.
// What is in the caches already is not reported: read Keys after subscribing. The returned function ends the
// subscription; a call that is under way may still finish after it.
func (v *View) Subscribe(event func(Event), status func()) (cancel func()) {
	sub := &subscriber{event: event, status: status}
	for _, s := range v.sources {
		s.subscribers.add(sub)
	}
	return func() {
		for _, s := range v.sources {
			s.subscribers.remove(sub)
		}
	}
}

// Keys returns the keys of all cached objects.
func (v *View) Keys() []Key {
	var keys []Key
	for _, s := range v.sources {
		keys = append(keys, s.store.keys()...)
	}
	return keys
}

// Get returns the cached object, or false.
func (v *View) Get(namespace, name string) (handlers.Object, bool) {
	for _, s := range v.sources {
		if s.id.namespace == "" || s.id.namespace == namespace {
			if obj, ok := s.store.get(Key{Namespace: namespace, Name: name}); ok {
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
			found = append(found, s.store.list(namespace, selector)...)
		}
	}
	return found
}

// Status sums up the sources: the worst state with its reasons.
func (v *View) Status() (telemetry.State, string) {
	worst := telemetry.Running
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
func severity(s telemetry.State) int {
	switch s {
	case telemetry.Degraded:
		return 3
	case telemetry.Waiting:
		return 2
	case telemetry.Syncing:
		return 1
	default:
		return 0
	}
}

// Close ends the use of the sources; those without another user stop, and Close waits for them.
func (v *View) Close() {
	waits := make([]func(), 0, len(v.sources))
	for _, s := range v.sources {
		waits = append(waits, v.owner.release(s))
	}
	for _, wait := range waits {
		wait()
	}
}
