package kube

import (
	"context"
	"net/http"
	"slices"
	"sync"

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
	// LabelSelector is applied by the API server; empty selects everything.
	LabelSelector string
	// FieldSelector is applied by the API server; empty selects everything.
	FieldSelector string
	// MetadataOnly leaves everything but the metadata at the API server, unless another watch needs
	// it.
	MetadataOnly bool
}

// Sources are the shared informers. There is one source for each kind, namespace, pair of selectors
// and projection, however many definitions need it. It ends with its last user. Where one source
// contains another, the wider serves for both; see Plan. Sources is safe for concurrent use.
type Sources struct {
	config  *rest.Config
	client  *http.Client
	kinds   *kinds.Discovery
	logger  logr.Logger
	metrics *telemetry.Metrics

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
// everything instead of the metadata alone, or no label selector, which the view applies instead.
// RBAC grants both by the same rule; an authorizer that looks at selectors may not.
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
		id := sourceID{kind: w.Kind, namespace: ns, labelSelector: w.LabelSelector, fieldSelector: w.FieldSelector, metadataOnly: w.MetadataOnly}
		ids = append(ids, id.canonical())
	}
	return ids
}

// Watch returns a view of what w names and starts the sources that do not run yet. A source ends
// when the last view of it is closed. Of ctx only the values are used, its end ends nothing.
func (s *Sources) Watch(ctx context.Context, w Watch) *View {
	ids := w.ids()
	sources := make([]viewedSource, 0, len(ids))
	for _, id := range ids {
		source, filter := s.acquireFor(ctx, id)
		sources = append(sources, viewedSource{sharedSource: source, filter: filter})
	}
	return newView(s, sources)
}

// acquireFor returns the source for id: the widest that is planned, and what to leave out of it.
func (s *Sources) acquireFor(ctx context.Context, id sourceID) (*sharedSource, labels.Selector) {
	s.mu.Lock()
	widest := id
	for _, other := range s.planned {
		if other.covers(widest) {
			widest = other
		}
	}
	s.mu.Unlock()
	var filter labels.Selector
	if widest.labelSelector != id.labelSelector {
		filter, _ = labels.Parse(id.labelSelector) // covers has parsed it
	}
	return s.acquire(ctx, widest), filter
}

// covers reports whether everything that other needs is in the source of id, and something more.
func (id sourceID) covers(other sourceID) bool {
	if id == other || id.metadataOnly && !other.metadataOnly {
		return false
	}
	same := id
	same.metadataOnly = other.metadataOnly
	if same == other {
		return true
	}
	same.labelSelector = other.labelSelector
	_, err := labels.Parse(other.labelSelector)
	return same == other && id.labelSelector == "" && err == nil
}

// canonical writes selectors that mean the same alike, so that they share a source. One that cannot
// be parsed is left to the API server to refuse.
func (id sourceID) canonical() sourceID {
	if selector, err := labels.Parse(id.labelSelector); err == nil {
		id.labelSelector = selector.String()
	}
	if selector, err := fields.ParseSelector(id.fieldSelector); err == nil {
		id.fieldSelector = selector.String()
	}
	return id
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
		return newFetcher(s.config, s.client, id, res, dedupe)
	}
	metrics := s.metrics.Source(telemetry.SourceLabels{
		Kind: id.kind.Kind, APIVersion: id.kind.GroupVersion().String(), Namespace: id.namespace, Selector: id.selector(), MetadataOnly: id.metadataOnly,
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
