package kube

import (
	"context"
	"errors"
	"math"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"
	"k8s.io/klog/v2"

	"kooperd.dev/kooperd/pkg/telemetry"
)

// listWatch is what the reflector drives. It adds the selectors, bounds streaming lists and keeps
// the status of the source true, because the reflector retries some errors without reporting them.
//
// The reflector calls watch on the goroutine of the source. It calls list on another one, which may
// outlast the reflector's attempt when that is cancelled; run waits for it.
type listWatch struct {
	cache.ListWatch
	source    *source
	fetcher   fetcher
	resource  resource
	pagedOnly bool
	reflector *cache.Reflector

	listing sync.Mutex // held during a plain list
	// deadline ends the attempt when its streaming list takes too long.
	deadline *time.Timer
	// streaming is true when the list under way comes over the watch that is open.
	streaming atomic.Bool

	streams  int       // streaming lists begun in this attempt
	openedAt time.Time // when the latest watch was opened; zero when that failed
}

func newListWatch(s *source, f fetcher, res resource) *listWatch {
	lw := &listWatch{source: s, fetcher: f, resource: res, pagedOnly: s.pagedOnly}
	lw.ListWithContextFunc = lw.list
	lw.WatchFuncWithContext = lw.watch
	logger := s.logger.V(2)
	lw.reflector = cache.NewReflectorWithOptions(lw, &object{codec: newCodec(s.id.kind, false)}, s.store, cache.ReflectorOptions{
		Name: "kooperd", TypeDescription: s.id.kind.Kind, Logger: &logger,
		// For the few waits that listWatch cannot take over; some of them do not heed the context,
		// so they are short.
		Backoff: &wait.Backoff{Duration: minBackoff, Cap: 2 * time.Second, Steps: 4, Factor: 2, Jitter: 0.5},
	})
	return lw
}

// IsWatchListSemanticsUnSupported keeps the reflector from streaming lists; it is client-go's own
// name for the question.
func (lw *listWatch) IsWatchListSemanticsUnSupported() bool { return lw.pagedOnly }

// run lists and watches until the watch ends for good.
func (lw *listWatch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer lw.awaitList()
	defer cancel(nil)
	lw.streams, lw.openedAt = 0, time.Time{}
	lw.streaming.Store(false)
	lw.deadline = time.AfterFunc(math.MaxInt64, func() { cancel(errSlowStream) }) // Set off by the first stream.
	defer lw.deadline.Stop()
	err := lw.reflector.ListAndWatchWithContext(klog.NewContext(ctx, telemetry.ForClientGo(lw.source.logger.V(2))))
	if failed, ok := errors.AsType[*listError](err); ok {
		err = failed.error // without what the reflector says around it
	}
	switch {
	case errors.Is(context.Cause(ctx), errSlowStream):
		return errSlowStream
	case err == nil && !lw.lasted():
		return errCutWatch
	}
	return err
}

// awaitList waits for the end of a list that the reflector has left behind.
func (lw *listWatch) awaitList() {
	lw.listing.Lock()
	lw.listing.Unlock() //nolint:gocritic,staticcheck // an empty critical section waits for the list inside
}

// lasted reports whether the latest watch has been open for so long that its end is no failure.
func (lw *listWatch) lasted() bool {
	return !lw.openedAt.IsZero() && time.Since(lw.openedAt) >= healthyWatch
}

// listed is called after a complete list and reports whether a watch follows it already.
func (lw *listWatch) listed() bool {
	lw.deadline.Stop()
	return lw.streaming.Load()
}

// pageSize is how many objects a plain list has in memory as they arrived.
const pageSize = 500

// list is a plain list, in pages, without a resourceVersion. The reflector asks for
// resourceVersion=0, which the watch cache of the API server answers in one piece: that costs twice
// the cache in memory. The newest state is also never older than what the cache has.
func (lw *listWatch) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	lw.listing.Lock()
	defer lw.listing.Unlock()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	lw.deadline.Stop()
	lw.streaming.Store(false)
	lw.source.id.selectOnly(&opts)
	opts.ResourceVersion, opts.ResourceVersionMatch = "", ""
	pages := pager.New(func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
		return awaitAnswer(ctx, lw.source, func(ctx context.Context) (runtime.Object, error) { return lw.fetcher.list(ctx, opts) })
	})
	pages.PageSize = pageSize
	pages.FullListIfExpired = false // The reflector begins again.
	all, _, err := pages.List(ctx, opts)
	if err != nil {
		return nil, &listError{err}
	}
	return all, nil
}

// listError is an error of a plain list, to be found in what the reflector makes of it.
type listError struct{ error }

// Unwrap lets the reflector see what kind of error it is.
func (e *listError) Unwrap() error { return e.error }

// watch opens a watch. An API server that cannot be reached or has no time is asked again here, and
// the watch goes on where it was. The reflector would list everything again, or wait without
// heeding ctx.
func (lw *listWatch) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	s := lw.source
	s.id.selectOnly(&opts)
	if lw.lasted() {
		s.failures.shortWatches = 0
	}
	lw.openedAt = time.Time{}
	streaming := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	if streaming {
		if lw.streams++; lw.streams > 1 {
			pause(ctx, backoff(lw.streams-1)) // The reflector begins again at once when a stream breaks off.
		}
	}
	for {
		if s.failures.requests > 0 && !streaming && lw.wentBack(ctx, opts.ResourceVersion) {
			return nil, errRestored
		}
		w, err := awaitAnswer(ctx, s, func(ctx context.Context) (watch.Interface, error) { return lw.fetcher.watch(ctx, opts) })
		if err == nil {
			lw.opened(streaming)
			return w, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx) // The reflector would wait before it tries some other errors again.
		}
		if !transient(err) {
			return nil, err
		}
		s.failures.requests++
		s.degrade(err)
		pause(ctx, backoff(s.failures.requests))
	}
}

// wentBack reports whether the newest version of the API server is older than one that it has given
// before, as after a restore from a backup. A watch from such a version is silent until the server
// gets there again, and leaves out what happens meanwhile. A restore interrupts the API server, so
// this is asked only after a failure.
func (lw *listWatch) wentBack(ctx context.Context, version string) bool {
	opts := metav1.ListOptions{Limit: 1}
	lw.source.id.selectOnly(&opts)
	list, err := awaitAnswer(ctx, lw.source, func(ctx context.Context) (runtime.Object, error) { return lw.fetcher.list(ctx, opts) })
	if err != nil {
		return false // The watch will fail, too, and say why.
	}
	newest, err := meta.ListAccessor(list)
	return err == nil && olderVersion(newest.GetResourceVersion(), version)
}

func (lw *listWatch) opened(streaming bool) {
	lw.openedAt = time.Now()
	lw.source.opened()
	if !streaming {
		lw.source.markRunning()
		return
	}
	lw.streaming.Store(true)
	if lw.streams == 1 {
		lw.deadline.Reset(lw.source.streamingDeadline)
	}
}

func (id sourceID) selectOnly(opts *metav1.ListOptions) {
	opts.LabelSelector = id.labelSelector
	opts.FieldSelector = id.fieldSelector
}

// transient reports whether a watch may be opened again as it was.
func transient(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err)
	}
	_, unreachable := errors.AsType[*url.Error](err)
	return unreachable
}

// expired reports whether a resource version is too old for the API server.
func expired(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }
