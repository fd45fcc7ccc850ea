package failover_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/failover/marker"
)

// event is one change of a marker or of the lease, as a watch has shown it.
type event struct {
	rv      uint64 // the revision of etcd, which orders all changes of the cluster
	seen    time.Time
	marker  *marker.Stamp             // nil for the lease
	lease   *coordinationv1.LeaseSpec // nil for a marker, and when the lease was deleted
	deleted bool                      // the lease was deleted
}

// history is what a watch has shown of one scene, live.
type history struct {
	mu      sync.Mutex
	events  []event
	changed chan struct{} // closed and replaced with every event
	gaps    int           // how often a watch could not go on where it had ended
	err     error         // why recording has ended too early
}

// record records the markers and the lease of a namespace until the test ends.
func record(t *testing.T, c *cluster.Cluster, namespace string) *history {
	t.Helper()
	h := &history{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if h.err != nil {
			t.Errorf("recording the history: %v", h.err)
		}
	})
	maps, leases := c.Client().CoreV1().ConfigMaps(namespace), c.Client().CoordinationV1().Leases(namespace)
	streams := []stream{
		{
			list: func(ctx context.Context) (string, error) {
				all, err := maps.List(ctx, metav1.ListOptions{LabelSelector: marker.LabelMarker})
				if err != nil {
					return "", err
				}
				return all.ResourceVersion, nil
			},
			watch: func(ctx context.Context, rv string) (watch.Interface, error) {
				return maps.Watch(ctx, metav1.ListOptions{LabelSelector: marker.LabelMarker, ResourceVersion: rv})
			},
		},
		{
			list: func(ctx context.Context) (string, error) {
				all, err := leases.List(ctx, metav1.ListOptions{})
				if err != nil {
					return "", err
				}
				return all.ResourceVersion, nil
			},
			watch: func(ctx context.Context, rv string) (watch.Interface, error) {
				return leases.Watch(ctx, metav1.ListOptions{ResourceVersion: rv})
			},
		},
	}
	for _, s := range streams {
		rv, err := s.list(t.Context())
		if err != nil {
			t.Fatalf("recording the history: %v", err)
		}
		running.Go(func() { h.follow(ctx, s, rv) })
	}
	return h
}

// stream is a way to watch one kind.
type stream struct {
	list  func(ctx context.Context) (rv string, err error)
	watch func(ctx context.Context, rv string) (watch.Interface, error)
}

// reconnectAfter is the time between two tries to watch.
const reconnectAfter = 50 * time.Millisecond

// follow records everything after rv until ctx ends.
func (h *history) follow(ctx context.Context, s stream, rv string) {
	for ctx.Err() == nil {
		if rv == "" { // what has happened since the last event is known from the audit log alone
			rv, _ = s.list(ctx) // an error leaves it empty: try again
		}
		if rv != "" {
			rv = h.drain(ctx, s, rv)
		}
		timer := time.NewTimer(reconnectAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// drain records one watch to its end and returns where the next one has to begin, empty when that
// is not known.
func (h *history) drain(ctx context.Context, s stream, rv string) string {
	w, err := s.watch(ctx, rv)
	if err != nil {
		return h.interrupted(err, rv)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return rv
		case e, open := <-w.ResultChan():
			if !open {
				return rv
			}
			if e.Type == watch.Error {
				return h.interrupted(apierrors.FromObject(e.Object), rv)
			}
			next, err := h.add(e)
			if err != nil {
				h.fail(err)
				return rv
			}
			rv = next
		}
	}
}

// interrupted notes when a watch cannot go on because the API server has forgotten where it was.
func (h *history) interrupted(err error, rv string) string {
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		return rv
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gaps++
	return ""
}

func (h *history) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = errors.Join(h.err, err)
}

// add records one event of a watch and returns its resourceVersion.
func (h *history) add(w watch.Event) (string, error) {
	e, rv, err := eventOf(w)
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.marker != nil || e.lease != nil || e.deleted {
		h.events = append(h.events, e)
		close(h.changed)
		h.changed = make(chan struct{})
	}
	return rv, nil
}

// eventOf reads an event of a watch. A marker that is not written yet gives an empty one.
func eventOf(w watch.Event) (event, string, error) {
	e := event{seen: time.Now()}
	var rv string
	switch object := w.Object.(type) {
	case *corev1.ConfigMap:
		rv = object.ResourceVersion
		if len(object.Data) > 0 && w.Type != watch.Deleted {
			stamp, err := marker.Parse(object.Data)
			if err != nil {
				return event{}, "", err
			}
			e.marker = &stamp
		}
	case *coordinationv1.Lease:
		rv = object.ResourceVersion
		if e.deleted = w.Type == watch.Deleted; !e.deleted {
			e.lease = &object.Spec
		}
	default:
		return event{}, "", fmt.Errorf("watching: unexpected %T", object)
	}
	var err error
	if e.rv, err = strconv.ParseUint(rv, 10, 64); err != nil {
		return event{}, "", fmt.Errorf("reading a resourceVersion: %w", err)
	}
	return e, rv, nil
}

// position is where the next event will be.
func (h *history) position() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.events)
}

// all returns every event so far.
func (h *history) all() []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clip(h.events)
}

// lag is how long the watches may be behind. After a gap, what is waited for may never come.
func (h *history) lag() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gaps > 0 {
		return time.Second
	}
	return patience / 2
}

// patience is how long an event is waited for.
const patience = 60 * time.Second

// await waits for the first event at position from or later that matches.
func (h *history) await(t testing.TB, from int, what string, match func(event) bool) event {
	t.Helper()
	e, ok := h.awaitWithin(t, from, patience, match)
	if !ok {
		t.Fatalf("waiting for %s: nothing after %s", what, patience)
	}
	return e
}

// awaitWithin is await with a limit, after which it returns false.
func (h *history) awaitWithin(t testing.TB, from int, limit time.Duration, match func(event) bool) (event, bool) {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		h.mu.Lock()
		events, changed := h.events[from:], h.changed
		h.mu.Unlock()
		for _, e := range events {
			if match(e) {
				return e, true
			}
		}
		from += len(events)
		select {
		case <-changed:
		case <-timer.C:
			return event{}, false
		case <-t.Context().Done():
			t.Fatalf("waiting: %v", context.Cause(t.Context()))
		}
	}
}
