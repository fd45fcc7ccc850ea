package kube

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// streamingListDeadline is how long a streaming list may take before the source falls back to a
// paged one: some servers accept the request and never send the bookmark that ends it
// (kubernetes/kubernetes#140890).
const streamingListDeadline = time.Minute

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
	// objectName is that of the one object that fieldSelector can select, else empty.
	objectName string
	// metadataOnly leaves everything but the metadata at the API server.
	metadataOnly bool
	// fieldManager is the one whose fields are kept; empty for none.
	fieldManager string
}

// selector joins both selectors for logs and metrics. A label selector contains no semicolon, so no
// two ids are written alike.
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

// source lists and watches one kind in one namespace, or all, into a store, for as long as it runs.
// Whatever goes wrong becomes its status and is tried again.
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
	status      *sourceStatus

	// The fields below belong to the goroutine of run, which is also where the reflector opens
	// watches and fills the store.
	lw        *listWatch // nil until the kind has been found
	pagedOnly bool       // streaming lists have proved not to end
	failures  failures
	watches   int // watches opened
}

func newSource(id sourceID, kinds *kinds.Discovery, fetch fetch, logger logr.Logger, metrics *telemetry.Source) *source {
	s := &source{
		id: id, kinds: kinds, fetch: fetch, metrics: metrics, streamingDeadline: streamingListDeadline,
		logger: logger.WithValues("kind", id.kind.Kind, "apiVersion", id.kind.GroupVersion().String(),
			"namespace", id.namespace, "selector", id.selector()),
	}
	s.status = newSourceStatus(s.logger, metrics, s.onStatus)
	s.store = newStore(id.kind, id.namespace, storeHooks{event: s.emit, replaced: s.listed, received: s.onReceived})
	return s
}

// run follows the API server until ctx ends.
func (s *source) run(ctx context.Context) {
	s.metrics.SetState(status.Syncing)
	s.metrics.Cached.Set(0)
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
	s.failures.absentSince = time.Time{}
	if state, _ := s.status.get(); state == status.Waiting {
		s.status.set(status.Syncing, nil)
	}
	err = s.lw.run(ctx)
	if errors.Is(err, errSlowStream) {
		s.pagedOnly = true
	}
	return err
}

// prepare makes the list-watch. One that has worked is kept, because its reflector remembers the
// newest version it has seen: the next list is never older than that.
func (s *source) prepare(res resource) error {
	if s.lw != nil && s.lw.resource == res && s.lw.pagedOnly == s.pagedOnly {
		return nil
	}
	f, err := s.fetch(res, s.store.dedupe)
	if err != nil {
		return err
	}
	s.lw = newListWatch(s, f, res)
	return nil
}

// handleError records what ended follow and returns how long to wait before the next try.
func (s *source) handleError(err error) time.Duration {
	switch {
	case err == nil: // A watch that has done its work ended, mostly because its version has expired.
		s.failures.shortWatches = 0
		return 0
	case errors.Is(err, errRestored):
		s.logger.Info("starting over with a new list", telemetry.KeyReason, err.Error())
		s.lw = nil // Its reflector remembers the newest version.
		return 0
	case errors.Is(err, errSlowStream):
		s.logger.Info("streaming list did not end in time, falling back to paged lists", "deadline", s.streamingDeadline)
		return 0
	case kinds.IsNotServed(err):
		s.markAbsent(err)
		return kinds.PollInterval
	case errors.Is(err, errCutWatch):
		if s.failures.shortWatches++; s.failures.cutOff() {
			s.degrade(err)
		}
		return backoff(s.failures.shortWatches)
	case apierrors.IsNotFound(err), expired(err):
		// A resource that is not found may be a kind that is gone, which discovery then says; an
		// expired version means no more than that the reflector has to list.
		s.logger.V(1).Info("starting over", telemetry.KeyReason, err.Error())
		if s.failures.requests++; s.failures.requests > tolerated {
			s.degrade(err)
		}
		return backoff(s.failures.requests)
	default:
		s.failures.requests++
		s.degrade(err)
		return backoff(s.failures.requests)
	}
}

// markAbsent records that the API server denies the kind. When it goes on doing so the kind is
// gone, and its objects are gone with it.
func (s *source) markAbsent(err error) {
	gone := s.failures.absent()
	s.status.set(status.Waiting, err)
	if gone {
		s.lw = nil
		s.store.clear()
	}
}

// degrade makes err the source's status.
func (s *source) degrade(err error) {
	s.status.set(status.Degraded, explain(err, s.id))
}

// opened is called when a watch has been opened.
func (s *source) opened() {
	if s.watches++; s.watches > 1 {
		s.metrics.Restarts.Inc()
	}
	s.failures.requests = 0
}

// listed is called by the store after each complete list. While no watch is open the list is not
// followed by anything yet, so it is not success.
func (s *source) listed() {
	s.metrics.Lists.Inc()
	s.status.settle()
	if s.lw.listed() {
		s.markRunning()
	}
}

// onReceived is called by the store whenever the watch has delivered something.
func (s *source) onReceived() {
	if s.failures.cutOff() && s.lw.lasted() {
		s.failures.shortWatches = 0
		s.markRunning()
	}
}

// markRunning is called when the cache is complete and a watch is open.
func (s *source) markRunning() {
	if !s.failures.cutOff() {
		s.status.set(status.Running, nil)
	}
}

// emit hands an event to the subscribers.
func (s *source) emit(e Event) {
	s.metrics.Cached.Set(float64(s.store.size()))
	for _, sub := range s.subscribers.list() {
		sub.event(e)
	}
}

// onStatus lets the subscribers look at the status.
func (s *source) onStatus() {
	for _, sub := range s.subscribers.list() {
		sub.status()
	}
}
