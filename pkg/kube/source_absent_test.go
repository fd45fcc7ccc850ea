package kube

import (
	"context"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/status"
)

// serve makes discovery know the kind of the rig, or not.
func (r *rig) serve(known func() bool) {
	served := r.docs.answer
	r.docs.answer = func(ctx context.Context, gv string) (*metav1.APIResourceList, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !known() {
			return nil, errNotFound
		}
		return served(ctx, gv)
	}
}

func TestSourceWaitsForItsKind(t *testing.T) {
	served := false
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(time.Hour)
		if state, reason := r.stateAndReason(); state != status.Waiting || reason != "the API server does not serve kind Pod of v1" {
			t.Errorf("status %s: %s", state, reason)
		}
		if asked := r.docs.asked.Load(); asked > int32(time.Hour/kinds.PollInterval)+1 {
			t.Errorf("discovery was asked %d times in an hour", asked)
		}
		r.edit(func() { served = true })
		time.Sleep(kinds.PollInterval + 250*time.Millisecond)
		expectStates(t, r, status.Waiting, status.Syncing, status.Running)
		expectEvents(t, r, "listed a")
	}, func(r *rig) {
		r.pods = []string{"a@1"}
		r.serve(func() bool { return served })
	})
}

// When the kind is gone its objects are; but not at the first denial, which may come from an API
// server that has just started.
func TestSourceWhoseKindGoes(t *testing.T) {
	served := true
	inBubble(t, func(t *testing.T, r *rig) {
		expectStates(t, r, status.Running)
		expectEvents(t, r, "listed a", "listed b")
		time.Sleep(time.Minute)
		r.edit(func() { served, r.noWatch, r.noList = false, errNotFound, errNotFound })
		r.hangUp()
		time.Sleep(goneAfter)
		expectStates(t, r, status.Waiting)
		expectEvents(t, r)
		time.Sleep(2 * time.Second)
		expectEvents(t, r, "deleted a", "deleted b")
		if n := r.metric("kooperd_source_cached_objects"); n != 0 {
			t.Errorf("%v objects are said to be cached", n)
		}
		r.edit(func() { served, r.noWatch, r.noList, r.pods = true, nil, nil, []string{"a@200#2"} })
		time.Sleep(time.Second)
		expectStates(t, r, status.Syncing, status.Running)
		expectEvents(t, r, "changed a")
	}, func(r *rig) {
		r.pods = []string{"a@1", "b@2"}
		r.serve(func() bool { return served })
	})
}

func TestSourceWhoseKindIsDeniedForAMoment(t *testing.T) {
	served := true
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(time.Minute)
		r.takeEvents()
		r.takeStates()
		r.edit(func() { served, r.noWatch, r.noList = false, errNotFound, errNotFound })
		r.hangUp()
		time.Sleep(goneAfter / 2)
		r.edit(func() { served, r.noWatch, r.noList = true, nil, nil })
		time.Sleep(time.Second)
		expectStates(t, r, status.Waiting, status.Syncing, status.Running)
		expectEvents(t, r)
	}, func(r *rig) {
		r.pods = []string{"a@1"}
		r.serve(func() bool { return served })
	})
}

// Discovery may go on naming a resource that is not found: an aggregated API server, for one, that
// is broken.
func TestSourceWhoseResourceIsNotFound(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(time.Minute)
		r.takeStates()
		r.takeEvents()
		r.edit(func() { r.noWatch, r.noList = errNotFound, errNotFound })
		r.hangUp()
		time.Sleep(500 * time.Millisecond)
		expectStates(t, r) // A moment of it is normal: discovery lags behind.
		time.Sleep(10 * time.Second)
		expectStates(t, r, status.Degraded)
		expectEvents(t, r)
		r.edit(func() { r.noWatch, r.noList = nil, nil })
		time.Sleep(maxBackoff)
		expectStates(t, r, status.Running)
		expectEvents(t, r)
	}, func(r *rig) { r.pods = []string{"a@1"} })
}

// A list of version "0" may be as old as an API server likes, which a cache that is filled must not
// take, and comes in one piece, whatever limit it has.
func TestPagedListIsTheNewestState(t *testing.T) {
	served := true
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(time.Minute)
		lists := r.takeLists()
		if got := versions(lists); !slices.Equal(got, []string{""}) {
			t.Errorf("the first list is of version %q, want the latest", got)
		}
		if got := lists[0].Limit; got != pageSize {
			t.Errorf("the first list has %d objects at a time, want %d", got, pageSize)
		}
		expectStates(t, r, status.Running)
		r.edit(func() { served, r.noWatch, r.noList = false, errNotFound, errNotFound })
		r.hangUp()
		time.Sleep(2 * goneAfter)
		r.takeLists()
		r.edit(func() { served, r.noWatch, r.noList = true, nil, nil })
		time.Sleep(time.Second)
		if got := versions(r.takeLists()); !slices.Equal(got, []string{""}) {
			t.Errorf("the list after the kind came back is of version %q, want the latest", got)
		}
		for _, opts := range r.takeWatches() {
			if opts.SendInitialEvents != nil {
				t.Error("a streaming list was tried")
			}
		}
	}, func(r *rig) {
		r.pods = []string{"a@1"}
		r.pagedOnly = true
		r.serve(func() bool { return served })
	})
}
