package kube

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// Watch names the objects that a definition watches.
type Watch struct {
	// Kind is the watched kind.
	Kind schema.GroupVersionKind
	// Namespaces are watched one by one; nil means all of the cluster.
	Namespaces []string
	// LabelSelector is applied by the API server; nil selects everything. Watches share a source
	// only if the texts of their selectors are the same.
	LabelSelector labels.Selector
	// FieldSelector is applied by the API server; nil selects everything.
	FieldSelector fields.Selector
	// MetadataOnly leaves everything but the metadata at the API server, unless another watch needs
	// it.
	MetadataOnly bool
	// FieldManager is the field manager of which FieldsOf returns what it has applied of the
	// objects; empty for none. Another watch that needs them may make FieldsOf return them all the
	// same. With a slash at the end, it stands for all managers whose names begin so, and AppliedBy
	// returns what these have applied.
	FieldManager string
}

// Sources are the shared informers. There is one source for each kind, namespace, pair of
// selectors, projection, and field manager, however many definitions need it. It ends with its last
// user. Where one source contains another, the wider serves for both; see Plan. Sources is safe for
// concurrent use.
type Sources struct {
	config  *rest.Config
	client  *http.Client
	kinds   *kinds.Discovery
	logger  logr.Logger
	metrics *telemetry.Metrics
	// received counts the objects that have arrived.
	received atomic.Int64

	mu      sync.Mutex
	shared  map[sourceID]*sharedSource // with those that are ending
	planned []sourceID                 // as Plan has set it
}

// sharedSource is a running source and how many views use it; with the last one it ends.
type sharedSource struct {
	*source
	users  int // guarded by the mutex of Sources
	cancel context.CancelFunc
	done   chan struct{}
}

func newSources(config *rest.Config, client *http.Client, kinds *kinds.Discovery, opts Options) *Sources {
	if opts.Logger.GetSink() == nil {
		opts.Logger = logr.Discard()
	}
	if opts.Metrics == nil {
		opts.Metrics = telemetry.NewMetrics(prometheus.NewRegistry())
	}
	return &Sources{config: config, client: client, kinds: kinds, logger: opts.Logger, metrics: opts.Metrics,
		shared: map[sourceID]*sharedSource{}}
}

// Plan sets all watches that are wanted, in place of what was planned before. A narrow watch can
// then share the source of a wider one: that of the same kind in the same namespaces which has
// everything instead of the metadata alone, or no label selector, which the view applies instead,
// or a FieldManager where the narrow one has none. RBAC grants all by the same rule; an authorizer
// that looks at selectors may not.
//
// A running view keeps its sources until it is closed, whatever is planned. A Watch that is not
// planned works, too.
func (s *Sources) Plan(watches []Watch) {
	var planned []sourceID
	for _, w := range watches {
		planned = append(planned, w.ids()...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planned = planned
}

// ids are the sources that a watch needs by itself.
func (w Watch) ids() []sourceID {
	namespaces := slices.Compact(slices.Sorted(slices.Values(w.Namespaces)))
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	ids := make([]sourceID, 0, len(namespaces))
	for _, ns := range namespaces {
		ids = append(ids, sourceID{
			kind: w.Kind, namespace: ns, metadataOnly: w.MetadataOnly,
			labelSelector: textOfSelector(w.LabelSelector), fieldSelector: textOfSelector(w.FieldSelector),
			objectName: SelectedName(w.FieldSelector), fieldManager: w.FieldManager,
		})
	}
	return ids
}

func textOfSelector(selector fmt.Stringer) string {
	if selector == nil {
		return ""
	}
	return selector.String()
}

// Watch returns a view of what w names and starts the sources that do not run yet. A source ends
// when the last view of it is closed. Of ctx only the values are used, its end ends nothing.
func (s *Sources) Watch(ctx context.Context, w Watch) *View {
	ids := w.ids()
	sources := make([]viewedSource, 0, len(ids))
	for _, id := range ids {
		widest := s.widest(id)
		viewed := viewedSource{sharedSource: s.acquire(ctx, widest)}
		if widest.labelSelector != id.labelSelector {
			viewed.filter = w.LabelSelector
		}
		sources = append(sources, viewed)
	}
	return newView(s, sources)
}

// widest returns the widest source that is planned and has everything that is in that of id.
func (s *Sources) widest(id sourceID) sourceID {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.planned {
		if other.covers(id) {
			id = other
		}
	}
	return id
}

// covers reports whether everything that other needs is in the source of id, and something more.
func (id sourceID) covers(other sourceID) bool {
	switch {
	case id == other, id.metadataOnly && !other.metadataOnly:
		return false
	case id.labelSelector != "" && id.labelSelector != other.labelSelector:
		return false
	case other.fieldManager != "" && id.fieldManager != other.fieldManager:
		return false
	}
	same := id
	same.metadataOnly, same.labelSelector, same.fieldManager = other.metadataOnly, other.labelSelector, other.fieldManager
	return same == other
}

func (s *Sources) acquire(ctx context.Context, id sourceID) *sharedSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	previous := s.shared[id]
	if previous != nil && previous.users > 0 {
		previous.users++
		return previous
	}
	fetch := func(res resource, dedupe func(*object) *object) (fetcher, error) {
		return newFetcher(s.config, s.client, id, res, func(arrived *object) *object {
			s.received.Add(1)
			return dedupe(arrived)
		})
	}
	metrics := s.metrics.Source(telemetry.SourceLabels{
		Kind: id.kind.Kind, APIVersion: id.kind.GroupVersion().String(), Namespace: id.namespace, Selector: id.selector(),
		MetadataOnly: id.metadataOnly, FieldManager: id.fieldManager,
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	shared := &sharedSource{
		source: newSource(id, s.kinds, fetch, s.logger, metrics),
		users:  1, cancel: cancel, done: make(chan struct{}),
	}
	if plugin := s.config.ExecProvider; plugin != nil {
		shared.credentialPlugin = plugin.Command
	}
	s.shared[id] = shared
	go func() {
		defer close(shared.done)
		if previous != nil {
			<-previous.done // Both write the same metrics.
		}
		shared.run(ctx)
	}()
	return shared
}

// Received returns how many objects have arrived so far, by lists and watches of all sources. While
// a source reads its first list, this is all that shows how far it is.
func (s *Sources) Received() int64 { return s.received.Load() }

// release gives a source back and ends it with its last user; the returned function waits for that.
func (s *Sources) release(shared *sharedSource) (wait func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shared.users--; shared.users > 0 {
		return func() {}
	}
	shared.cancel()
	return func() {
		<-shared.done
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.shared[shared.id] == shared {
			delete(s.shared, shared.id)
			shared.metrics.Remove()
		}
	}
}
