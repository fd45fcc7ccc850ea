package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// rig is a source of Pods over a scripted fetcher, for its decisions: what it asks, when, and what
// it says of that. What an API server does is shown by the tests of package test/kube.
type rig struct {
	*source
	t        *testing.T
	registry *prometheus.Registry
	docs     *documents
	served   *kinds.Discovery // who started the rig closes it
	stop     context.CancelFunc
	stopped  chan struct{}

	// The script, which tests may change under the mutex.
	mu      sync.Mutex
	pods    []string // as pod() reads them
	version int
	noList  error         // what a list fails with
	noWatch error         // what opening a watch fails with
	cut     bool          // every watch ends at once
	noMark  bool          // a streaming list never ends
	broken  error         // what a streaming list breaks off with
	slow    time.Duration // how long a list takes
	hangs   chan struct{} // what a watch waits for, whatever its context says; nil: nothing
	open    *watch.FakeWatcher

	// What the source did, guarded by the mutex.
	lists   []metav1.ListOptions
	watches []metav1.ListOptions
	probes  int
	asked   []time.Duration // when a watch was asked for, since the start
	since   func() time.Duration
	said    []string // states, in order
	events  []string // in order
}

// documents are the discovery documents of a rig.
type documents struct {
	answer func(ctx context.Context, gv string) (*metav1.APIResourceList, error)
	asked  atomic.Int32
}

func (d *documents) ServerResourcesForGroupVersionWithContext(ctx context.Context, gv string) (*metav1.APIResourceList, error) {
	d.asked.Add(1)
	return d.answer(ctx, gv)
}

func (d *documents) RESTClient() rest.Interface { return nil } // groups are not asked for

func newRig(t *testing.T, adjust ...func(*rig)) *rig {
	t.Helper()
	metrics, registry := newTestMetrics()
	r := &rig{t: t, registry: registry, version: 100, stopped: make(chan struct{})}
	r.docs = &documents{answer: func(context.Context, string) (*metav1.APIResourceList, error) {
		return &metav1.APIResourceList{APIResources: []metav1.APIResource{
			{Name: "pods", Kind: "Pod", Namespaced: true, Verbs: metav1.Verbs{"list", "watch"}},
		}}, nil
	}}
	id := sourceID{kind: podKind, namespace: "payments", labelSelector: "app"}
	fetch := func(resource, func(*object) *object) (fetcher, error) { return r, nil }
	r.served = kinds.NewDiscovery(r.docs)
	r.source = newSource(id, r.served, fetch, logr.Discard(), metrics.Source(telemetry.SourceLabels{Kind: "Pod", APIVersion: "v1", Namespace: "payments", Selector: "app"}))
	r.subscribers.add(&subscriber{event: r.onEvent, status: r.onStatus})
	for _, f := range adjust {
		f(r)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	start := time.Now()

	r.since = func() time.Duration { return time.Since(start) }
	go func() {
		defer close(r.stopped)
		r.run(ctx)
	}()
	return r
}

func (r *rig) onEvent(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	word := map[EventType]string{Listed: "listed", Changed: "changed", Deleted: "deleted"}[e.Type]
	r.events = append(r.events, word+" "+e.Key.Name)
}

func (r *rig) onStatus() {
	state, _ := r.status.get()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, string(state))
}

// edit changes the script.
func (r *rig) edit(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// takeStates returns the states since the last call.
func (r *rig) takeStates() []string { return take(r, &r.said) }

// takeEvents returns the events since the last call, sorted, as the order of keys is any.
func (r *rig) takeEvents() []string {
	events := take(r, &r.events)
	slices.Sort(events)
	return events
}

func (r *rig) takeLists() []metav1.ListOptions { return take(r, &r.lists) }

func (r *rig) takeWatches() []metav1.ListOptions { return take(r, &r.watches) }

func take[T any](r *rig, from *[]T) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := *from
	*from = nil
	return all
}

func (r *rig) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	pause(ctx, r.slow)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if opts.Limit == 1 { // It asks for the newest version.
		r.probes++
		return &objectList{ListMeta: metav1.ListMeta{ResourceVersion: fmt.Sprint(r.version)}}, r.noWatch
	}
	r.lists = append(r.lists, opts)
	if r.noList != nil {
		return nil, r.noList
	}
	list := &objectList{ListMeta: metav1.ListMeta{ResourceVersion: fmt.Sprint(r.version)}}
	for _, text := range r.pods {
		list.Items = append(list.Items, arrival(r.t, podKind, pod(text)))
	}
	return list, nil
}

func (r *rig) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	if r.hangs != nil {
		<-r.hangs
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watches = append(r.watches, opts)
	r.asked = append(r.asked, r.since())
	if r.noWatch != nil {
		return nil, r.noWatch
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := watch.NewFakeWithChanSize(1000, false)
	if opts.SendInitialEvents != nil {
		for _, text := range r.pods {
			w.Add(arrival(r.t, podKind, pod(text)))
		}
		var answer apierrors.APIStatus
		if errors.As(r.broken, &answer) {
			status := answer.Status()
			w.Error(&status)
		}
		if !r.noMark {
			w.Action(watch.Bookmark, r.bookmark(map[string]string{metav1.InitialEventsAnnotationKey: "true"}))
		}
	}
	if r.cut {
		w.Stop()
	}
	r.open = w
	return w, nil
}

func (r *rig) bookmark(annotations map[string]string) *object {
	return arrival(r.t, podKind, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: fmt.Sprint(r.version), Annotations: annotations}})
}

// send delivers an event over the open watch.
func (r *rig) send(what watch.EventType, object runtime.Object) {
	r.mu.Lock()
	w := r.open
	if sent, err := meta.Accessor(object); err == nil {
		if version, err := strconv.Atoi(sent.GetResourceVersion()); err == nil {
			r.version = max(r.version, version)
		}
	}
	r.mu.Unlock()
	if typed, ok := object.(*corev1.Pod); ok {
		object = arrival(r.t, podKind, typed)
	}
	w.Action(what, object)
}

// hangUp ends the open watch, as the API server does every few minutes.
func (r *rig) hangUp() {
	r.mu.Lock()
	w := r.open
	r.mu.Unlock()
	w.Stop()
}

// metric returns the value of one of the source's counters or gauges.
func (r *rig) metric(name string) float64 {
	r.t.Helper()
	v, ok := metricOf(r.t, r.registry, name)
	if !ok {
		r.t.Errorf("there is no metric %s", name)
	}
	return v
}

// The errors that an API server, or the way to it, gives.
var (
	errForbidden = apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", fmt.Errorf("no rule"))
	errNotFound  = apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "")
	errExpired   = apierrors.NewResourceExpired("too old resource version")
	errTooMany   = apierrors.NewTooManyRequestsError("come back later")
	errDown      = apierrors.NewServiceUnavailable("starting")
	errRefused   = &url.Error{Op: "Get", URL: "https://10.0.0.1", Err: &net.OpError{
		Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 6443},
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}}
)

func versions(all []metav1.ListOptions) []string {
	var found []string
	for _, opts := range all {
		found = append(found, opts.ResourceVersion)
	}
	return found
}

// stateAndReason is the status with the text of its error.
func (s *source) stateAndReason() (status.State, string) {
	state, err := s.status.get()
	return state, textOf(err)
}
