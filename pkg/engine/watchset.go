package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

// watched is one watch of a definition.
type watched struct {
	watch kube.Watch
	// notify calls add, at once or later, for the objects that are handled because of an event. Nil
	// stands for the object of the event, which is then of the kind that the definition handles.
	notify func(e kube.Event, add func(kube.Key))
	source source // nil until the set is open
}

// watchSet is everything that a definition watches. The first watch is that of the objects it
// handles.
type watchSet struct {
	watches []watched
	opened  atomic.Bool
}

// primary is the source of the objects that the definition handles.
func (s *watchSet) primary() source { return s.watches[0].source }

// open starts the watches. event gets every event, with the watch it comes from; changed is called
// when the status may be another. The returned function closes the sources again.
func (s *watchSet) open(
	ctx context.Context, api apiServer, event func(*watched, kube.Event), changed func(),
) (stop func()) {
	var cancels []func()
	for i := range s.watches {
		w := &s.watches[i]
		w.source = api.watch(ctx, w.watch)
		cancels = append(cancels, w.source.Subscribe(func(e kube.Event) { event(w, e) }, changed))
	}
	s.opened.Store(true)
	changed()
	return func() {
		for _, cancel := range cancels {
			cancel()
		}
		for i := range s.watches {
			s.watches[i].source.Close()
		}
	}
}

// awaitSynced waits until every source has its first list, or is known to be unable to get it. It
// returns false when ctx ends before.
func (s *watchSet) awaitSynced(ctx context.Context) bool {
	for i := range s.watches {
		select {
		case <-s.watches[i].source.Synced():
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// listed reports whether every cache has been complete.
func (s *watchSet) listed() bool {
	for i := range s.watches {
		if !s.watches[i].source.Listed() {
			return false
		}
	}
	return true
}

// status is the worst of all sources, with its kind where there are several; empty before they
// open.
func (s *watchSet) status() (status.State, error) {
	if !s.opened.Load() {
		return "", nil
	}
	worst, reason := status.Running, error(nil)
	for i := range s.watches {
		w := &s.watches[i]
		state, err := w.source.Status()
		if state.Severity() <= worst.Severity() {
			continue
		}
		if worst, reason = state, err; err != nil && len(s.watches) > 1 {
			reason = fmt.Errorf("watching %s: %w", w.watch.Kind.Kind, err)
		}
	}
	return worst, reason
}
