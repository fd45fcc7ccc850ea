package kube

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

const (
	// streamingListDeadline is how long a streaming list may take before the source falls back to a paged one: some
	// servers accept the request and never send the bookmark that ends it (kubernetes/kubernetes#140890).
	streamingListDeadline = time.Minute

	minBackoff = 250 * time.Millisecond
	// maxBackoff also bounds how long a right that was granted, or an API server that came back, goes unnoticed.
	maxBackoff = 10 * time.Second

	// goneAfter is how long a kind has to be denied before its objects are taken for deleted: an API server that has
	// just started, or one of several that learns of a CRD later than the others, may deny a kind that exists.
	goneAfter = 2 * time.Second

	// healthyWatch is how long a watch has to last to be no failure.
	healthyWatch = 10 * time.Second

	// tolerated is how many failures in a row are everyday life where the cache stays good meanwhile: a watch whose
	// version has expired, a discovery document that is a moment behind.
	tolerated = 3
)

var (
	errRestored   = errors.New("the API server has gone back to older versions, as after a restore from a backup")
	errSlowStream = errors.New("the streaming list did not end in time")
	errCutWatch   = errors.New("the API server, or a proxy before it, cuts off every watch at once")
)

// sourceID is what makes two definitions share a source.
type sourceID struct {
	kind          schema.GroupVersionKind
	namespace     string
	labelSelector string
	fieldSelector string
	// metadataOnly leaves everything but the metadata at the API server.
	metadataOnly bool
}

// selector joins both selectors for logs and metrics. A label selector contains no semicolon, so no two ids are
// written alike.
func (id sourceID) selector() string {
	if id.fieldSelector == "" {
		return id.labelSelector
	}
	return id.labelSelector + ";" + id.fieldSelector
}

// resource is how the API server serves a kind.
type resource struct {
	gvr        schema.GroupVersionResource
	namespaced bool
}

// fetch makes the fetcher of a resource, see newFetcher.
type fetch func(res resource, dedupe func(*object) *object) (fetcher, error)

// source lists and watches one kind in one namespace, or all, into a store, for as long as it runs. Whatever goes wrong
// becomes its status and is tried again.
type source struct {
	id      sourceID
	kinds   *kinds.Discovery
	fetch   fetch
	logger  logr.Logger
	metrics *telemetry.Source
	store   *store
	// credentialPlugin is the program that gives the credentials; empty if there is none.
	credentialPlugin string
	// streamingDeadline is streamingListDeadline, but for tests.
	streamingDeadline time.Duration

	subscribers subscribers
	listing     sync.Mutex // held during a plain list, which runs on a goroutine of the reflector

	// settled is closed when the first list is complete, or is known to be impossible for now.
	settled  chan struct{}
	settling sync.Once

	mu      sync.Mutex
	state   status.State
	trouble error // why the state is Waiting or Degraded; nil in other states

	// The fields below belong to the goroutine of run, which is also where the reflector opens watches and fills the
	// store.
	lw           *listWatch       // nil until the kind has been found
	reflector    *cache.Reflector // drives lw
	pagedOnly    bool             // streaming lists have proved not to end
	failures     int              // requests that failed since the last watch was opened
	shortWatches int              // watches in a row that did not last
	absentSince  time.Time        // when the kind was first denied; zero while it is served
	watches      int              // watches opened
}

func newSource(id sourceID, kinds *kinds.Discovery, fetch fetch, logger logr.Logger, metrics *telemetry.Source) *source {
	s := &source{
		id: id, kinds: kinds, fetch: fetch, metrics: metrics, state: status.Syncing, settled: make(chan struct{}),
		streamingDeadline: streamingListDeadline,
		logger: logger.WithValues("kind", id.kind.Kind, "apiVersion", id.kind.GroupVersion().String(),
			"namespace", id.namespace, "selector", id.selector()),
	}
	s.store = newStore(id.kind, id.namespace, storeHooks{event: s.emit, replaced: s.listed, received: s.onReceived})
	return s
}

// run follows the API server until ctx ends.
func (s *source) run(ctx context.Context) {
	s.metrics.SetState(status.Syncing)
	s.metrics.Cached.Set(0)
	defer s.awaitList()
	for ctx.Err() == nil {
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		pause(ctx, s.handleError(err))
	}
}

// follow finds the kind's resource, lists it and watches it until something ends that.
func (s *source) follow(ctx context.Context) error {
	found, err := kinds.Watchable(ctx, s.kinds, s.id.kind, s.id.namespace != "")
	if err != nil {
		return err
	}
	res := resource{gvr: s.id.kind.GroupVersion().WithResource(found.Name), namespaced: found.Namespaced}
	if err := s.prepare(res); err != nil {
		return err
	}
	s.absentSince = time.Time{}
	if state, _ := s.status(); state == status.Waiting {
		s.set(status.Syncing, nil)
	}
	return s.listAndWatch(ctx)
}

// prepare makes the reflector. One that has worked is kept, because it remembers the newest version it has seen: the
// next list is never older than that.
func (s *source) prepare(res resource) error {
	if s.lw != nil && s.lw.resource == res && s.lw.pagedOnly == s.pagedOnly {
		return nil
	}
	f, err := s.fetch(res, s.store.dedupe)
	if err != nil {
		return err
	}
	s.lw = newListWatch(s, f, res)
	logger := s.logger.V(2)
	s.reflector = cache.NewReflectorWithOptions(s.lw, &object{codec: newCodec(s.id.kind, false)}, s.store, cache.ReflectorOptions{
		Name: "kooperd", TypeDescription: s.id.kind.Kind, Logger: &logger,
		// For the few waits that listWatch cannot take over; some of them do not heed the context, so they are short.
		Backoff: &wait.Backoff{Duration: minBackoff, Cap: 2 * time.Second, Steps: 4, Factor: 2, Jitter: 0.5},
	})
	return nil
}

// listAndWatch runs the reflector until its watch ends for good.
func (s *source) listAndWatch(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := s.lw.begin(cancel)
	defer end()
	err := s.reflector.ListAndWatchWithContext(klog.NewContext(ctx, s.logger.V(2)))
	if failed, ok := errors.AsType[*listError](err); ok {
		err = failed.error // without what the reflector says around it
	}
	switch {
	case errors.Is(context.Cause(ctx), errSlowStream):
		s.pagedOnly = true
		return errSlowStream
	case err == nil && !s.lw.lasted():
		return errCutWatch
	}
	return err
}

// handleError records what ended follow and returns how long to wait before the next try.
func (s *source) handleError(err error) time.Duration {
	switch {
	case err == nil: // A watch that has done its work ended, mostly because its version has expired.
		s.shortWatches = 0
		return 0
	case errors.Is(err, errRestored):
		s.logger.Info("starting over with a new list", telemetry.KeyReason, err.Error())
		s.lw, s.reflector = nil, nil // The reflector remembers the newest version.
		return 0
	case errors.Is(err, errSlowStream):
		s.logger.Info("streaming list did not end in time, falling back to paged lists", "deadline", s.streamingDeadline)
		return 0
	case kinds.IsNotServed(err):
		s.markAbsent(err)
		return kinds.PollInterval
	case errors.Is(err, errCutWatch):
		if s.shortWatches++; s.shortWatches >= tolerated {
			s.degrade(err)
		}
		return backoff(s.shortWatches)
	case apierrors.IsNotFound(err), expired(err):
		// A resource that is not found may be a kind that is gone, of which discovery tells; an expired version means
		// no more than that the reflector has to list.
		s.logger.V(1).Info("starting over", telemetry.KeyReason, err.Error())
		if s.failures++; s.failures > tolerated {
			s.degrade(err)
		}
		return backoff(s.failures)
	default:
		s.failures++
		s.degrade(err)
		return backoff(s.failures)
	}
}

// markAbsent records that the API server denies the kind. When it goes on doing so the kind is gone, and its objects are
// gone with it.
func (s *source) markAbsent(err error) {
	if s.absentSince.IsZero() {
		s.absentSince = time.Now()
	}
	s.failures, s.shortWatches = 0, 0
	s.set(status.Waiting, err)
	if time.Since(s.absentSince) >= goneAfter {
		s.lw, s.reflector = nil, nil
		s.store.clear()
	}
}

// awaitList waits for the end of a list that the reflector has left behind.
func (s *source) awaitList() {
	s.listing.Lock()
	s.listing.Unlock() //nolint:gocritic,staticcheck // an empty critical section waits for whoever is inside
}

// degrade makes err the source's status.
func (s *source) degrade(err error) {
	s.set(status.Degraded, explain(err, s.id))
}

// opened is called when a watch has been opened.
func (s *source) opened() {
	if s.watches++; s.watches > 1 {
		s.metrics.Restarts.Inc()
	}
	s.failures = 0
}

// listed is called by the store after each complete list. While no watch is open the list is not followed by anything
// yet, so it is not success.
func (s *source) listed() {
	s.metrics.Lists.Inc()
	s.settle()
	if s.lw.listed() {
		s.markRunning()
	}
}

// onReceived is called by the store whenever the watch has delivered something.
func (s *source) onReceived() {
	if s.shortWatches >= tolerated && s.lw.lasted() {
		s.shortWatches = 0
		s.markRunning()
	}
}

// markRunning is called when the cache is complete and a watch is open.
func (s *source) markRunning() {
	if s.shortWatches < tolerated {
		s.set(status.Running, nil)
	}
}

// emit hands an event to the subscribers.
func (s *source) emit(e Event) {
	s.metrics.Cached.Set(float64(s.store.size()))
	for _, sub := range s.subscribers.list() {
		sub.event(e)
	}
}

// set records the state and tells the subscribers. It belongs to the goroutine of run.
func (s *source) set(state status.State, trouble error) {
	s.mu.Lock()
	if s.state == state && textOf(s.trouble) == textOf(trouble) {
		s.mu.Unlock()
		return
	}
	s.state, s.trouble = state, trouble
	s.mu.Unlock()
	if trouble != nil {
		s.settle()
	}
	s.metrics.SetState(state)
	s.logger.V(1).Info("source changed state", "state", state, telemetry.KeyReason, textOf(trouble))
	for _, sub := range s.subscribers.list() {
		sub.status()
	}
}

// settle closes settled, if it is not.
func (s *source) settle() { s.settling.Do(func() { close(s.settled) }) }

// status returns the state, and why it is Waiting or Degraded.
func (s *source) status() (status.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.trouble
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// backoff is how long to wait after that many failures in a row, with jitter. It is no wait.Backoff, as
// the failures are counted anyway, of requests and of short watches apart.
func backoff(failures int) time.Duration {
	delay := min(minBackoff<<min(max(failures-1, 0), 16), maxBackoff)
	return delay/2 + rand.N(delay/2+1) //nolint:gosec // jitter needs no cryptographic randomness
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
