package kube

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// newSilentCluster is one whose API server serves no kind at all, for what has nothing to do with
// objects.
func newSilentCluster(t *testing.T) (*Cluster, *prometheus.Registry) {
	t.Helper()
	return newHTTPCluster(t, http.NotFoundHandler())
}

func newHTTPCluster(t *testing.T, handler http.Handler) (*Cluster, *prometheus.Registry) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	metrics, registry := newTestMetrics()
	cluster, err := New(&rest.Config{Host: server.URL}, Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster, registry
}

func labelSelector(t *testing.T, text string) labels.Selector {
	t.Helper()
	selector, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return selector
}

// sourceSeries counts the series that sources have.
func sourceSeries(t *testing.T, registry *prometheus.Registry) (n int) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "kooperd_source_") {
			n += len(family.GetMetric())
		}
	}
	return n
}

func TestSourcesAreShared(t *testing.T) {
	base := Watch{
		Kind: widgetKind, LabelSelector: labelSelector(t, "app=web,tier in (a,b)"), FieldSelector: fields.OneTermEqualSelector("metadata.name", "x"),
	}
	tests := map[string]struct {
		change func(*Watch)
		shared bool
	}{
		"the same":               {func(*Watch) {}, true},
		"label order":            {func(w *Watch) { w.LabelSelector = labelSelector(t, " tier in ( b, a ), app = web") }, true},
		"namespace twice":        {func(w *Watch) { w.Namespaces = nil }, true},
		"another kind":           {func(w *Watch) { w.Kind.Kind = "Gadget" }, false},
		"another version":        {func(w *Watch) { w.Kind.Version = "v2" }, false},
		"another label selector": {func(w *Watch) { w.LabelSelector = labelSelector(t, "app=web") }, false},
		"another field selector": {func(w *Watch) { w.FieldSelector = fields.OneTermEqualSelector("metadata.name", "y") }, false},
		"one namespace":          {func(w *Watch) { w.Namespaces = []string{"payments"} }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cluster, registry := newSilentCluster(t)
			first := cluster.Sources.Watch(t.Context(), base)
			other := base
			tc.change(&other)
			second := cluster.Sources.Watch(t.Context(), other)
			if shared := first.sources[0].sharedSource == second.sources[0].sharedSource; shared != tc.shared {
				t.Errorf("shared: %t, want %t", shared, tc.shared)
			}
			first.Close()
			if sourceSeries(t, registry) == 0 {
				t.Error("the metrics of a source in use are gone")
			}
			second.Close()
			if n := sourceSeries(t, registry); n != 0 || len(cluster.Sources.shared) != 0 {
				t.Errorf("after the last view %d series and %d sources are left", n, len(cluster.Sources.shared))
			}
		})
	}
}

func TestOneSourceForEachNamespace(t *testing.T) {
	cluster, _ := newSilentCluster(t)
	a := cluster.Sources.Watch(t.Context(), Watch{Kind: widgetKind, Namespaces: []string{"b", "a", "b"}})
	defer a.Close()
	b := cluster.Sources.Watch(t.Context(), Watch{Kind: widgetKind, Namespaces: []string{"b", "c"}})
	defer b.Close()
	if len(a.sources) != 2 || len(b.sources) != 2 || len(cluster.Sources.shared) != 3 || a.sources[1].sharedSource != b.sources[0].sharedSource {
		t.Errorf("%d and %d sources of %d, want 2 and 2 of 3, with one in common",
			len(a.sources), len(b.sources), len(cluster.Sources.shared))
	}
}

// Views come and go at once on the same few sources, as when a config is replaced by another.
func TestConcurrentViews(t *testing.T) {
	cluster, registry := newSilentCluster(t)
	selectors := []labels.Selector{nil, labelSelector(t, "app=a"), labelSelector(t, "app=b")}
	var working sync.WaitGroup
	for worker := range 8 {
		working.Go(func() {
			for i := range 30 {
				view := cluster.Sources.Watch(t.Context(), Watch{
					Kind: widgetKind, Namespaces: []string{"payments", "search"}, LabelSelector: selectors[(worker+i)%len(selectors)],
				})
				cancel := view.Subscribe(func(Event) {}, func() { _, _ = view.Status() })
				_, _ = view.Status()
				view.Keys()
				cancel()
				view.Close()
			}
		})
	}
	working.Wait()
	if n := sourceSeries(t, registry); n != 0 || len(cluster.Sources.shared) != 0 {
		t.Errorf("%d series and %d sources are left", n, len(cluster.Sources.shared))
	}
}

// A source that begins while one of the same id ends takes over its metrics; it does not lose them
// to it.
func TestSourceThatFollowsAnother(t *testing.T) {
	subscribed, entered, leave := make(chan struct{}), make(chan struct{}), make(chan struct{})
	cluster, registry := newHTTPCluster(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-subscribed
		w.WriteHeader(http.StatusNotFound)
	}))
	w := Watch{Kind: widgetKind}
	first := cluster.Sources.Watch(t.Context(), w)
	var once sync.Once
	hold := func() {
		once.Do(func() {
			close(entered)
			<-leave // The source cannot end while it is in here.
		})
	}
	first.Subscribe(func(Event) {}, hold)
	close(subscribed)
	<-entered
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		first.Close()
	}()
	awaitEnd(t, cluster.Sources, first.sources[0].sharedSource)
	second := cluster.Sources.Watch(t.Context(), w)
	if second.sources[0].sharedSource == first.sources[0].sharedSource {
		t.Fatal("a view was given a source that is ending")
	}
	began := make(chan struct{}, 1)
	second.Subscribe(func(Event) {}, func() {
		select {
		case began <- struct{}{}:
		default:
		}
	})
	select {
	case <-began:
		t.Error("two sources write the same metrics at once")
		began <- struct{}{}
	case <-time.After(300 * time.Millisecond): // Longer than an answer of discovery is remembered.
	}
	close(leave)
	<-began
	<-closed
	if sourceSeries(t, registry) == 0 {
		t.Error("the end of the first source removed the metrics of the second")
	}
	second.Close()
	if n := sourceSeries(t, registry); n != 0 {
		t.Errorf("%d series are left", n)
	}
}

// awaitEnd waits until the last user of a source has gone.
func awaitEnd(t *testing.T, sources *Sources, shared *sharedSource) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-ticker.C {
		sources.mu.Lock()
		users := shared.users
		sources.mu.Unlock()
		if users == 0 {
			return
		}
	}
	t.Fatal("the source is still in use")
}

func TestSubscribers(t *testing.T) {
	var s subscribers
	var order []string
	add := func(name string) *subscriber {
		sub := &subscriber{event: func(Event) { order = append(order, name) }}
		s.add(sub)
		return sub
	}
	a := add("a")
	before := s.list()
	b := add("b")
	c := add("c")
	s.remove(b)
	s.remove(b)
	for _, sub := range s.list() {
		sub.event(Event{})
	}
	if got := strings.Join(order, ""); got != "ac" {
		t.Errorf("called %q, want a and c in the order of their subscription", got)
	}
	if len(before) != 1 || before[0] != a {
		t.Error("a list that was taken before has changed")
	}
	s.remove(a)
	s.remove(c)
	if len(s.list()) != 0 {
		t.Error("a subscriber is left")
	}
}

// viewOf is a view of sources in the given states, which do not run.
func viewOf(states ...status.Status) *View {
	metrics := telemetry.NewMetrics(prometheus.NewRegistry())
	v := &View{}
	for _, status := range states {
		s := newSource(sourceID{kind: podKind}, nil, nil, logr.Discard(), metrics.Source(telemetry.SourceLabels{Kind: "Pod", APIVersion: "v1", Namespace: "", Selector: ""}))
		var reason error
		if status.Reason != "" {
			reason = errors.New(status.Reason)
		}
		s.status.set(status.State, reason)
		v.sources = append(v.sources, viewedSource{sharedSource: &sharedSource{source: s}})
	}
	return v
}

func TestViewStatus(t *testing.T) {
	running := status.Status{State: status.Running}
	syncing := status.Status{State: status.Syncing}
	waiting := status.Status{State: status.Waiting, Reason: "not served"}
	forbidden := func(where string) status.Status {
		return status.Status{State: status.Degraded, Reason: "forbidden in " + where}
	}
	tests := map[string]struct {
		sources []status.Status
		state   status.State
		reason  string
	}{
		"all run":                      {[]status.Status{running, running}, status.Running, ""},
		"one lists":                    {[]status.Status{running, syncing}, status.Syncing, ""},
		"waiting says more":            {[]status.Status{syncing, waiting, running}, status.Waiting, "not served"},
		"the worst, not the last":      {[]status.Status{forbidden("a"), waiting}, status.Degraded, "forbidden in a"},
		"the same reason once":         {[]status.Status{waiting, waiting}, status.Waiting, "not served"},
		"every reason":                 {[]status.Status{forbidden("a"), running, forbidden("b")}, status.Degraded, "forbidden in a; forbidden in b"},
		"but not a page":               {[]status.Status{forbidden("a"), forbidden("b"), forbidden("c"), forbidden("d"), forbidden("e")}, status.Degraded, "forbidden in a; forbidden in b; forbidden in c; and 2 more"},
		"exactly as many as there fit": {[]status.Status{forbidden("a"), forbidden("b"), forbidden("c")}, status.Degraded, "forbidden in a; forbidden in b; forbidden in c"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			state, err := viewOf(tc.sources...).Status()
			if state != tc.state || textOf(err) != tc.reason {
				t.Errorf("Status() = %s, %v, want %s, %q", state, err, tc.state, tc.reason)
			}
		})
	}
}

// TestViewStatusIsTyped finds the error that a caller may want to say in its own words.
func TestViewStatusIsTyped(t *testing.T) {
	view, _ := newTestView(t, "a", "b", "c")
	answer := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no rule"))
	view.sources[0].status.set(status.Degraded, explain(answer, view.sources[0].id))
	view.sources[1].status.set(status.Degraded, explain(errRefused, view.sources[1].id))
	_, err := view.Status()
	forbidden, ok := errors.AsType[*ForbiddenError](err)
	if !ok || !slices.Equal(forbidden.Rule.Resources, []string{"pods"}) || forbidden.Namespace != "a" || !apierrors.IsForbidden(forbidden) {
		t.Errorf("forbidden: %+v in %v", forbidden, err)
	}
	if unreachable, ok := errors.AsType[*UnreachableError](err); !ok || !errors.Is(unreachable, syscall.ECONNREFUSED) {
		t.Errorf("unreachable: %+v in %v", unreachable, err)
	}
}

func TestViewSynced(t *testing.T) {
	for name, settle := range map[string]func(*source){
		"listed":    func(s *source) { s.status.settle() },
		"waiting":   func(s *source) { s.status.set(status.Waiting, errors.New("not served")) },
		"forbidden": func(s *source) { s.status.set(status.Degraded, errors.New("forbidden")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				view, _ := newTestView(t, "a", "b")
				synced := func() bool {
					synctest.Wait()
					select {
					case <-view.Synced():
						return true
					default:
						return false
					}
				}
				settle(view.sources[1].source)
				if synced() {
					t.Error("synced while a source still lists")
				}
				settle(view.sources[0].source)
				settle(view.sources[0].source)
				if !synced() {
					t.Error("not synced although both sources have settled")
				}
			})
		})
	}
}

// TestPlanIsReplaced plans anew while a view is open, which keeps its source.
func TestPlanIsReplaced(t *testing.T) {
	all, selected := Watch{Kind: widgetKind}, Watch{Kind: widgetKind, LabelSelector: labelSelector(t, "app=web")}
	cluster, _ := newSilentCluster(t)
	sources := cluster.Sources
	sources.Plan([]Watch{all, selected})
	wide := sources.Watch(t.Context(), selected)
	defer wide.Close()
	sources.Plan([]Watch{selected})
	sources.Plan([]Watch{selected})
	narrow := sources.Watch(t.Context(), selected)
	defer narrow.Close()
	if got := wide.sources[0].id.labelSelector; got != "" {
		t.Errorf("a running view has the source of %q, want that of all", got)
	}
	if got := narrow.sources[0].id.labelSelector; got != "app=web" {
		t.Errorf("a new view has the source of %q, want its own", got)
	}
}

func TestWiderSourcesAreUsed(t *testing.T) {
	all := Watch{Kind: widgetKind}
	selected := Watch{Kind: widgetKind, LabelSelector: labelSelector(t, "app=web")}
	metadata := Watch{Kind: widgetKind, LabelSelector: labelSelector(t, "app=web"), MetadataOnly: true}
	named := Watch{Kind: widgetKind, FieldSelector: fields.OneTermEqualSelector("metadata.name", "x")}
	tests := map[string]struct {
		expected []Watch
		watch    Watch
		want     Watch // whose source it is
		filtered bool
	}{
		"no watch needs more":          {[]Watch{selected, named}, selected, selected, false},
		"another watch needs all":      {[]Watch{selected, all}, selected, all, true},
		"the whole instead of a part":  {[]Watch{metadata, selected}, metadata, selected, false},
		"all of the whole":             {[]Watch{metadata, selected, all}, metadata, all, true},
		"metadata is less":             {[]Watch{{Kind: widgetKind, MetadataOnly: true}, selected}, selected, selected, false},
		"fields are not selected here": {[]Watch{all, named}, named, named, false},
		"other rights":                 {[]Watch{all, {Kind: widgetKind, Namespaces: []string{"a"}}}, Watch{Kind: widgetKind, Namespaces: []string{"a"}}, Watch{Kind: widgetKind, Namespaces: []string{"a"}}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cluster, _ := newSilentCluster(t)
			cluster.Sources.Plan(tc.expected)
			view := cluster.Sources.Watch(t.Context(), tc.watch)
			defer view.Close()
			if got, want := view.sources[0].id, tc.want.ids()[0]; got != want {
				t.Errorf("source %+v, want %+v", got, want)
			}
			if filtered := view.sources[0].filter != nil; filtered != tc.filtered {
				t.Errorf("filtered: %t, want %t", filtered, tc.filtered)
			}
		})
	}
}
