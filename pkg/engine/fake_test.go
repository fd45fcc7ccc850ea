package engine

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

var (
	podKind    = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	secretKind = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
)

// fakeServer is an apiServer whose objects and answers a test sets. Every source is synced at once,
// unless its kind is in unsynced.
type fakeServer struct {
	mu       sync.Mutex
	version  int
	objects  map[schema.GroupVersionKind]map[kube.Key]handlers.Object
	followed map[*fakeSource]struct{} // the sources that are open
	unsynced map[schema.GroupVersionKind]bool
	absent   map[schema.GroupVersionKind]bool // kinds that are not served, so that they are not listed
	planned  []kube.Watch
	missing  map[string][]access.Finding // by definition
	clientOf func(definition string) error
	listed   map[schema.GroupVersionKind][]handlers.Object // what List returns
	byUID    handlers.Object                               // what GetByUID returns; nil for nothing

	onFinalizer func(what string, obj handlers.Object) error // what becomes of a write of finalizers
}

func newFakeServer() *fakeServer {
	return &fakeServer{
		objects: map[schema.GroupVersionKind]map[kube.Key]handlers.Object{}, followed: map[*fakeSource]struct{}{},
		unsynced: map[schema.GroupVersionKind]bool{}, missing: map[string][]access.Finding{},
	}
}

func (f *fakeServer) watch(_ context.Context, w kube.Watch) source {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &fakeSource{server: f, watch: w, synced: make(chan struct{}), state: status.Syncing, subscribers: map[int]subscriber{}}
	if !f.unsynced[w.Kind] {
		s.state = status.Running
		close(s.synced)
	}
	f.followed[s] = struct{}{}
	return s
}

// sources returns one for each kind that is watched.
func (f *fakeServer) sources() (all []kube.SourceInfo) {
	f.mu.Lock()
	open := slices.Collect(maps.Keys(f.followed))
	f.mu.Unlock()
	seen := map[schema.GroupVersionKind]bool{}
	for _, s := range open {
		if kind := s.watch.Kind; !seen[kind] {
			seen[kind] = true
			info := kube.SourceInfo{Keys: slices.Values(s.Keys())}
			info.APIVersion, info.Kind, info.Objects = kind.GroupVersion().String(), kind.Kind, len(s.Keys())
			all = append(all, info)
		}
	}
	return all
}

func (f *fakeServer) plan(watches []kube.Watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned = watches
}

// errUnreachable is what becomes of every request: a test has no network.
var errUnreachable = errors.New("no route to the API server")

func (f *fakeServer) clients(definition string, _ *kube.Gate, _ *kube.ConsistencyStore) (handlers.Clients, error) {
	if f.clientOf != nil {
		if err := f.clientOf(definition); err != nil {
			return handlers.Clients{}, err
		}
	}
	unreachable := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errUnreachable })
	return handlers.Clients{REST: &rest.Config{Host: "https://fake.invalid", Transport: unreachable}}, nil
}

func (f *fakeServer) Kinds() *kinds.Discovery { return nil }

func (f *fakeServer) finalizers(def config.Definition, _ handlers.Clients) finalizers {
	return &fakeFinalizers{server: f, name: def.Finalizer, kind: def.Watch.Kind}
}

func (f *fakeServer) findMissing(_ context.Context, def config.Definition) ([]access.Finding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.missing[def.Name], nil
}

// lack sets what a definition lacks.
func (f *fakeServer) lack(definition string, missing ...access.Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.missing[definition] = missing
}

// put creates or changes an object and sends the event.
func (f *fakeServer) put(t *testing.T, kind schema.GroupVersionKind, key kube.Key, changes ...func(*metav1.ObjectMeta)) {
	t.Helper()
	f.mu.Lock()
	f.version++
	meta := metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name, UID: types.UID(key.Name), ResourceVersion: strconv.Itoa(f.version),
	}
	for _, change := range changes {
		change(&meta)
	}
	var obj handlers.Object
	var err error
	switch kind {
	case secretKind:
		obj, err = handlers.ObjectOf(&corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta})
	default:
		obj, err = handlers.ObjectOf(&corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: meta})
	}
	if err != nil {
		t.Fatal(err)
	}
	old := f.objects[kind][key]
	if f.objects[kind] == nil {
		f.objects[kind] = map[kube.Key]handlers.Object{}
	}
	f.objects[kind][key] = obj
	f.mu.Unlock()
	f.emit(kind, kube.NewChange(old, obj))
}

// remove deletes an object and sends the event.
func (f *fakeServer) remove(kind schema.GroupVersionKind, key kube.Key) {
	f.mu.Lock()
	delete(f.objects[kind], key)
	f.mu.Unlock()
	f.emit(kind, kube.Event{Key: key, Type: kube.Deleted})
}

func (f *fakeServer) emit(kind schema.GroupVersionKind, e kube.Event) {
	for _, s := range f.open(kind) {
		if s.sees(e.Key) {
			for _, sub := range s.subscribed() {
				sub.event(e)
			}
		}
	}
}

// open returns the sources of a kind that are not closed.
func (f *fakeServer) open(kind schema.GroupVersionKind) (all []*fakeSource) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.followed {
		if s.watch.Kind == kind {
			all = append(all, s)
		}
	}
	return all
}

// settle sets the state of all sources of a kind, which ends their first list.
func (f *fakeServer) settle(kind schema.GroupVersionKind, state status.State, err error) {
	f.mu.Lock()
	f.unsynced[kind] = false
	f.mu.Unlock()
	for _, s := range f.open(kind) {
		f.mu.Lock()
		if s.state == status.Syncing {
			close(s.synced)
		}
		s.state, s.err = state, err
		f.mu.Unlock()
		for _, sub := range s.subscribed() {
			sub.changed()
		}
	}
}

type subscriber struct {
	event   func(kube.Event)
	changed func()
}

// fakeSource is one view of the objects of a fakeServer.
type fakeSource struct {
	server *fakeServer
	watch  kube.Watch
	synced chan struct{}

	// These are guarded by server.mu.
	state       status.State
	err         error
	lists       int // calls of List
	lastID      int
	subscribers map[int]subscriber
}

func (s *fakeSource) sees(key kube.Key) bool {
	return len(s.watch.Namespaces) == 0 || slices.Contains(s.watch.Namespaces, key.Namespace)
}

func (s *fakeSource) subscribed() []subscriber {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return slices.Collect(maps.Values(s.subscribers))
}

func (s *fakeSource) Keys() []kube.Key {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	keys := slices.Collect(maps.Keys(s.server.objects[s.watch.Kind]))
	keys = slices.DeleteFunc(keys, func(k kube.Key) bool { return !s.sees(k) })
	slices.SortFunc(keys, func(a, b kube.Key) int { return slices.Compare([]string{a.Name}, []string{b.Name}) })
	return keys
}

func (s *fakeSource) Get(namespace, name string) (handlers.Object, bool) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	key := kube.Key{Namespace: namespace, Name: name}
	obj, ok := s.server.objects[s.watch.Kind][key]
	return obj, ok && s.sees(key)
}

func (s *fakeSource) List(string, labels.Selector) []handlers.Object {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.lists++
	return s.server.listed[s.watch.Kind]
}

func (s *fakeSource) ListOwned(types.UID) []handlers.Object { return nil }

func (s *fakeSource) ListAppliedBy(string) []handlers.Object { return nil }

func (s *fakeSource) GetByUID(types.UID) (handlers.Object, bool) {
	return s.server.byUID, s.server.byUID != nil
}

func (s *fakeSource) listCount() int {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return s.lists
}

func (s *fakeSource) Listed() bool {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return s.state != status.Syncing && !s.server.absent[s.watch.Kind]
}

func (s *fakeSource) Reached(kube.Key, string) bool { return true }

func (s *fakeSource) Subscribe(event func(kube.Event), changed func()) (cancel func()) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.lastID++
	id := s.lastID
	s.subscribers[id] = subscriber{event, changed}
	return func() {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		delete(s.subscribers, id)
	}
}

func (s *fakeSource) Synced() <-chan struct{} { return s.synced }

func (s *fakeSource) Status() (status.State, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return s.state, s.err
}

func (s *fakeSource) SourceIDs() []kube.SourceID { return nil }

func (s *fakeSource) Close() {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	delete(s.server.followed, s)
}

// roundTripper answers requests by a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
