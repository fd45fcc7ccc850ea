package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// finder finds the kinds of the tests.
type finder struct {
	mu    sync.Mutex
	asked int
}

func (f *finder) Kind(_ context.Context, kind schema.GroupVersionKind) (kinds.Resource, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	resource, ok := resources[kind]
	if !ok {
		return kinds.Resource{}, &kinds.NotServedError{What: "kind " + kind.Kind}
	}
	return resource, nil
}

func (f *finder) Resource(context.Context, schema.GroupResource) (kinds.Resource, error) {
	return kinds.Resource{}, errDamaged
}

// request is what a server was asked.
type request struct {
	method, path, query, accept, body string
}

func (r request) String() string { return r.method + " " + r.path }

// server serves a cluster by HTTP, as far as a Client asks.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	cluster  *cluster
	requests []request
	schema   string // answer to a request for the OpenAPI document; empty: not found
	// answer, if it is set, answers in place of the cluster when it returns true.
	answer func(w http.ResponseWriter, r request) bool
}

func newServer(tb testing.TB) *server {
	s := &server{cluster: newCluster()}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(s.Close)
	return s
}

func (s *server) client(tb testing.TB) *Client {
	tb.Helper()
	c, err := NewClient(s.config(), &finder{})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func (s *server) config() *rest.Config {
	return &rest.Config{Host: s.URL, QPS: -1, Transport: s.Client().Transport}
}

// take returns the requests since the last call.
func (s *server) take() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// do does something with the cluster.
func (s *server) do(f func(c *cluster)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.cluster)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	asked := request{method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, accept: r.Header.Get("Accept"), body: string(body)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, asked)
	if s.answer != nil && s.answer(w, asked) {
		return
	}
	if strings.HasPrefix(asked.path, "/openapi/") {
		s.sendSchema(w)
		return
	}
	if kind, namespace, ok := collectionIn(asked.path); ok && r.Method == http.MethodGet {
		s.list(w, kind, namespace, r.URL.Query().Get("labelSelector"))
		return
	}
	kind, id, subresource, ok := idIn(asked.path)
	if !ok {
		sendError(w, apierrors.NewNotFound(schema.GroupResource{}, asked.path))
		return
	}
	if err := s.change(asked, r.Header.Get("Content-Type"), kind, id, subresource); err != nil {
		sendError(w, err)
		return
	}
	o, exists := s.cluster.objects[id]
	switch {
	case r.Method == http.MethodDelete && !exists:
		sendJSON(w, http.StatusOK, []byte(`{"kind": "Status", "apiVersion": "v1", "status": "Success"}`))
	case !exists:
		sendError(w, apierrors.NewNotFound(schema.GroupResource{Group: id.Kind.Group, Resource: resources[kind].Name}, id.Name))
	default:
		text, err := o.encode()
		if err != nil {
			panic(err)
		}
		sendJSON(w, http.StatusOK, text)
	}
}

func (s *server) sendSchema(w http.ResponseWriter) {
	if s.schema == "" {
		sendError(w, apierrors.NewNotFound(schema.GroupResource{}, "openapi"))
		return
	}
	sendJSON(w, http.StatusOK, []byte(s.schema))
}

// change does what a request asks for.
func (s *server) change(r request, contentType string, kind schema.GroupVersionKind, id ChildID, subresource string) error {
	var err error
	switch {
	case r.method == http.MethodDelete:
		var options metav1.DeleteOptions
		if err = json.Unmarshal([]byte(r.body), &options); err == nil {
			err = s.cluster.delete(id, *options.Preconditions.UID, *options.Preconditions.ResourceVersion)
		}
	case contentType == string(types.ApplyPatchType):
		var tree map[string]any
		if tree, err = decodeTree([]byte(r.body)); err == nil {
			undo := func() {}
			if strings.Contains(r.query, "dryRun=All") {
				undo = s.cluster.saved(id)
			}
			query, _ := url.ParseQuery(r.query) // The client has made it.
			_, err = s.cluster.apply(kind, id, query.Get("fieldManager"), tree, query.Get("force") == "true")
			undo()
		}
	case contentType == string(types.JSONPatchType):
		err = s.cluster.jsonPatch(id, []byte(r.body))
	case contentType == string(types.MergePatchType) && subresource == "status":
		err = s.cluster.patchStatus(id, []byte(r.body))
	case contentType == string(types.MergePatchType):
		err = s.cluster.patchMetadata(id, []byte(r.body))
	case r.method != http.MethodGet:
		err = apierrors.NewMethodNotSupported(schema.GroupResource{}, r.method)
	}
	return err
}

// patchStatus is a merge patch of the status.
func (c *cluster) patchStatus(id ChildID, body []byte) error {
	patch, err := decodeTree(body)
	if err != nil {
		return err
	}
	s, exists := c.objects[id]
	resource := schema.GroupResource{Group: id.Kind.Group, Resource: id.Kind.Kind}
	metadata, _ := patch["metadata"].(map[string]any)
	switch {
	case !exists:
		return apierrors.NewNotFound(resource, id.Name)
	case metadata["resourceVersion"] != s.version:
		return apierrors.NewConflict(resource, id.Name, errors.New("the object has been modified"))
	}
	change, _ := patch["status"].(map[string]any)
	status, _ := s.tree["status"].(map[string]any)
	s.tree["status"] = merged(status, change)
	generation := s.generation
	c.store(id, s, true)
	s.generation = generation
	return nil
}

// patchMetadata is a merge patch of labels and annotations.
func (c *cluster) patchMetadata(id ChildID, body []byte) error {
	patch, err := decodeTree(body)
	if err != nil {
		return err
	}
	s, exists := c.objects[id]
	metadata, _ := patch["metadata"].(map[string]any)
	switch {
	case !exists:
		return apierrors.NewNotFound(schema.GroupResource{Resource: id.Kind.Kind}, id.Name)
	case metadata["resourceVersion"] != s.version:
		return apierrors.NewConflict(schema.GroupResource{Resource: id.Kind.Kind}, id.Name, errors.New("the object has been modified"))
	}
	c.edit(id, FieldManager, func(tree map[string]any) {
		of := object(tree, "metadata")
		for _, member := range []string{"labels", "annotations"} {
			if change, ok := metadata[member].(map[string]any); ok {
				of[member] = merged(object(of, member), change)
			}
		}
	})
	return nil
}

// operation is one of a JSON patch.
type operation struct {
	Op, Path string
	Value    json.RawMessage
}

// jsonPatch is a JSON patch of the finalizers, or of managedFields.
func (c *cluster) jsonPatch(id ChildID, body []byte) error {
	var operations []operation
	if err := json.Unmarshal(body, &operations); err != nil {
		return err
	}
	s, exists := c.objects[id]
	if !exists {
		return apierrors.NewNotFound(schema.GroupResource{Resource: id.Kind.Kind}, id.Name)
	}
	if slices.ContainsFunc(operations, func(o operation) bool { return o.Path == "/metadata/managedFields" }) {
		return c.patchManagers(id, s, operations)
	}
	return c.patchFinalizers(id, s, operations)
}

// patchManagers replaces the managedFields of the version that the patch has.
func (c *cluster) patchManagers(id ChildID, s *stored, operations []operation) error {
	managers := fieldpath.ManagedFields{}
	for _, operation := range operations {
		switch operation.Path {
		case "/metadata/uid":
			if string(operation.Value) != strconv.Quote(string(s.uid)) {
				return apierrors.NewInvalid(id.Kind, id.Name, nil)
			}
		case "/metadata/resourceVersion":
			if string(operation.Value) != strconv.Quote(s.version) {
				return apierrors.NewConflict(schema.GroupResource{Resource: id.Kind.Kind}, id.Name, errors.New("the object has been modified"))
			}
		default:
			var entries []metav1.ManagedFieldsEntry
			if err := json.Unmarshal(operation.Value, &entries); err != nil {
				return err
			}
			for _, entry := range entries {
				set, err := fieldsOf(entry)
				if err != nil {
					return err
				}
				managers[entry.Manager] = fieldpath.NewVersionedSet(set, "v1", entry.Operation == metav1.ManagedFieldsOperationApply)
			}
		}
	}
	s.managers = managers
	c.store(id, s, true)
	return nil
}

// patchFinalizers is a JSON patch of the finalizers.
func (c *cluster) patchFinalizers(id ChildID, s *stored, operations []operation) error {
	tree := runtime.DeepCopyJSON(s.tree)
	metadata := object(tree, "metadata")
	for _, operation := range operations {
		var value any
		if err := json.Unmarshal(operation.Value, &value); err != nil && operation.Op != "remove" {
			return err
		}
		switch {
		case operation.Path == "/metadata/uid":
			if value != string(s.uid) {
				return apierrors.NewInvalid(id.Kind, id.Name, nil)
			}
		case operation.Op == "test":
			if have, _ := metadata["finalizers"].([]any); fmt.Sprint(have) != fmt.Sprint(value) && value != nil {
				return apierrors.NewInvalid(id.Kind, id.Name, nil)
			}
		default:
			metadata["finalizers"] = value
		}
	}
	if fmt.Sprint(tree) == fmt.Sprint(s.tree) {
		return nil
	}
	s.tree = tree
	c.store(id, s, true)
	if finalizers, _ := metadata["finalizers"].([]any); s.deleting && len(finalizers) == 0 {
		delete(c.objects, id)
	}
	return nil
}

// idIn finds the object of a path.
func idIn(path string) (kind schema.GroupVersionKind, id ChildID, subresource string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var group string
	var rest []string
	switch {
	case len(parts) > 2 && parts[0] == "api":
		rest = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, rest = parts[1], parts[3:]
	default:
		return kind, id, "", false
	}
	if rest[0] == "namespaces" && len(rest) > 3 {
		id.Namespace, rest = rest[1], rest[2:]
	}
	for of, resource := range resources {
		if len(rest) >= 2 && resource.Name == rest[0] && resource.Group == group {
			id.Kind, id.Name = of.GroupKind(), rest[1]
			return of, id, strings.Join(rest[2:], "/"), true
		}
	}
	return kind, id, "", false
}

func sendJSON(w http.ResponseWriter, code int, text []byte) {
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	w.WriteHeader(code)
	_, _ = w.Write(text) // A client that has gone away sees nothing of it.
}

// sendError answers as the API server does.
func sendError(w http.ResponseWriter, err error) {
	status := apierrors.NewInternalError(err).Status()
	if known, ok := statusOf(err); ok {
		status = known
	}
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	text, err := json.Marshal(status)
	if err != nil {
		panic(err)
	}
	sendJSON(w, int(status.Code), text)
}

// cache is a Source that has what was in a cluster when it was last brought up to date.
type cache struct {
	mu      sync.Mutex
	objects map[kube.Key]handlers.Object
	labels  map[kube.Key]labels.Set // of the objects
	version int
	gone    bool
}

var _ PatchedObjects = (*cache)(nil)

func (c *cache) ListAppliedBy(manager string) []handlers.Object {
	return slices.DeleteFunc(c.List("", nil), func(o handlers.Object) bool { return kube.AppliedBy(o)[manager] == nil })
}

func (c *cache) Reached(_ kube.Key, resourceVersion string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	version, err := strconv.Atoi(resourceVersion)
	return err != nil || c.version >= version
}

func (c *cache) Status() (status.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return status.Waiting, nil
	}
	return status.Running, nil
}

func (c *cache) Get(namespace, name string) (handlers.Object, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.objects[kube.Key{Namespace: namespace, Name: name}]
	return o, ok
}

func (c *cache) GetByUID(uid types.UID) (handlers.Object, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.objects {
		if o.UID() == uid {
			return o, true
		}
	}
	return nil, false
}

func (c *cache) List(namespace string, selector labels.Selector) []handlers.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []handlers.Object
	for key, o := range c.objects {
		if (namespace == "" || key.Namespace == namespace) && (selector == nil || selector.Matches(c.labels[key])) {
			found = append(found, o)
		}
	}
	return found
}

func (c *cache) Listed() bool { return !c.gone }

func (c *cache) Keys() []kube.Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.objects))
}

// sync brings the cache up to date with what a cluster has of a kind, by label if selector is not
// empty. It calls event for every change.
func (c *cache) sync(cluster *cluster, kind schema.GroupKind, label string, metadataOnly bool, event func(old, now handlers.Object)) {
	c.syncBy(cluster, FieldManager, kind, label, metadataOnly, event)
}

// syncBy is sync of a cache that keeps the fields of other field managers.
func (c *cache) syncBy(
	cluster *cluster, manager string, kind schema.GroupKind, label string, metadataOnly bool, event func(old, now handlers.Object),
) {
	c.mu.Lock()
	before := c.objects
	c.mu.Unlock()
	next, sets := map[kube.Key]handlers.Object{}, map[kube.Key]labels.Set{}
	for id, s := range cluster.objects {
		if id.Kind != kind || label != "" && s.metadata("labels", label) == "" {
			continue
		}
		key := kube.Key{Namespace: id.Namespace, Name: id.Name}
		o := before[key]
		if o == nil || o.UID() != s.uid || o.ResourceVersion() != s.version { // as a watch has it
			var err error
			if o, err = s.readBy(manager, metadataOnly); err != nil {
				panic(err)
			}
		}
		next[key], sets[key] = o, o.Metadata().Labels
	}
	c.mu.Lock()
	c.objects, c.labels, c.version = next, sets, cluster.version
	c.mu.Unlock()
	for key, o := range next {
		old := before[key]
		if event != nil && (old == nil || old.ResourceVersion() != o.ResourceVersion()) {
			event(old, o)
		}
	}
	for key, old := range before {
		if _, there := next[key]; !there && event != nil {
			event(old, nil)
		}
	}
}

// rig is a Reconciler over a served cluster.
type rig struct {
	*Reconciler
	server   *server
	parents  *cache
	caches   map[schema.GroupVersionKind]*cache
	patched  map[schema.GroupVersionKind]*cache
	events   *events.FakeRecorder
	registry *prometheus.Registry
	selects  string // the label of the parents that the cache has; empty for all
}

// rigOptions are what a rig is made of.
type rigOptions struct {
	composer     handlers.Composer
	owns         []schema.GroupVersionKind // default: ConfigMap
	metadataOnly bool
	finalizes    bool
	patches      []schema.GroupVersionKind
}

func newRig(tb testing.TB, o rigOptions) *rig {
	tb.Helper()
	if o.owns == nil {
		o.owns = []schema.GroupVersionKind{configMapKind}
	}
	s := newServer(tb)
	client, err := dynamic.NewForConfig(s.config())
	if err != nil {
		tb.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	r := &rig{
		server: s, parents: &cache{}, caches: map[schema.GroupVersionKind]*cache{},
		patched: map[schema.GroupVersionKind]*cache{}, events: events.NewFakeRecorder(100), registry: registry,
	}
	options := Options{
		Identity: Identity{Definition: definition, Installation: installation}, Selection: Selection{Kind: websiteKind}, Composer: o.composer, Deletion: Deletion{Finalizes: o.finalizes},
		Parents: r.parents, Client: s.client(tb), Dynamic: client, Remembered: Remembered{Memory: NewMemory(), Leavers: &Leavers{}},
		Metrics: telemetry.NewMetrics(registry).Controller(definition).Compose(), Events: r.events, Logger: logr.Discard(),
	}
	for _, kind := range o.owns {
		apiVersion, name := kind.ToAPIVersionAndKind()
		r.caches[kind] = &cache{}
		options.Children = append(options.Children, ChildSource{
			OwnedKind: handlers.OwnedKind{APIVersion: apiVersion, Kind: name, MetadataOnly: o.metadataOnly, AnyNamespace: true}, Source: r.caches[kind],
		})
	}
	for _, kind := range o.patches {
		apiVersion, name := kind.ToAPIVersionAndKind()
		r.patched[kind] = &cache{}
		options.Patched = append(options.Patched, PatchSource{
			PatchedKind: handlers.PatchedKind{APIVersion: apiVersion, Kind: name, AnyNamespace: true}, Source: r.patched[kind],
		})
	}
	r.Reconciler = New(options)
	return r
}

// newWebsite makes a parent and returns it as the cache has it.
func (r *rig) newWebsite(name string, spec map[string]any) handlers.Object {
	id := idOf(websiteKind, "team-a", name)
	r.server.do(func(c *cluster) {
		c.edit(id, "kubectl", func(tree map[string]any) { tree["spec"] = runtime.DeepCopyJSON(spec) })
	})
	r.sync()
	return r.parent(name)
}

func (r *rig) parent(name string) handlers.Object {
	o, _ := r.parents.Get("team-a", name)
	return o
}

// sync brings all caches up to date, and collects which parents their events call.
func (r *rig) sync() (called []kube.Key) {
	add := func(key kube.Key) { called = append(called, key) }
	r.server.do(func(c *cluster) {
		r.parents.sync(c, websiteKind.GroupKind(), r.selects, false, func(old, now handlers.Object) {
			if !r.ownEvent(now, add) && now != nil {
				add(kube.Key{Namespace: now.Namespace(), Name: now.Name()})
			}
		})
		for _, source := range r.Children {
			kind := source.GroupVersionKind()
			r.caches[kind].sync(c, kind.GroupKind(), InstallationLabel, source.MetadataOnly, func(old, now handlers.Object) { r.onChild(old, now, add) })
		}
		for _, source := range r.Patched {
			kind := source.GroupVersionKind()
			r.patched[kind].syncBy(c, PatchManagers, kind.GroupKind(), PatchedLabel(installation), false,
				func(old, now handlers.Object) { onPatched(r.Reconciler, old, now, add) })
		}
	})
	return called
}

// pass handles a parent as the cache has it.
func (r *rig) pass(tb testing.TB, name string) (handlers.Result, error) {
	tb.Helper()
	parent := r.parent(name)
	if parent == nil {
		tb.Fatalf("there is no website %s", name)
	}
	return r.Handle(tb.Context(), handlers.Request{Object: parent})
}

// mustPass handles a parent, which has to work.
func (r *rig) mustPass(tb testing.TB, name string) handlers.Result {
	tb.Helper()
	result, err := r.pass(tb, name)
	if err != nil {
		tb.Fatalf("handling %s: %v", name, err)
	}
	return result
}

// asked are the requests since the last call, but for those of the OpenAPI document.
func (r *rig) asked() []string {
	texts := []string{}
	for _, one := range r.server.take() {
		if !strings.HasPrefix(one.path, "/openapi") {
			texts = append(texts, one.String())
		}
	}
	slices.Sort(texts)
	return texts
}
