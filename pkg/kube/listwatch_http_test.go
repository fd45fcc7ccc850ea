package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// podServer answers the requests of a source of Pods over HTTP, for what client-go makes of the
// answers.
type podServer struct {
	*httptest.Server
	t *testing.T
	// stream answers a streaming list and reports whether the answer goes on.
	stream func(w http.ResponseWriter) (open bool)
	// hang keeps a plain watch from being answered.
	hang bool
	// dropLists closes the connection instead of answering a list.
	dropLists bool
	// endless is a stream that is given up soon; others may take as long as a machine stands still.
	endless bool

	mu       sync.Mutex
	requests []string // in order: stream, watch or list, with the continue token
}

const podsURL = "/api/v1/namespaces/payments/pods"

func newPodServer(t *testing.T) *podServer {
	t.Helper()
	s := &podServer{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1", func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, &metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "pods", Kind: "Pod", Namespaced: true, Verbs: metav1.Verbs{"list", "watch"}},
		}})
	})
	mux.HandleFunc("GET "+podsURL, s.pods)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *podServer) pods(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch {
	case query.Get("sendInitialEvents") == "true":
		s.note("stream")
		if !s.stream(w) {
			return
		}
	case query.Get("watch") == "true":
		s.note("watch")
		if !s.hang {
			w.Header().Set("Content-Type", runtime.ContentTypeJSON)
			w.WriteHeader(http.StatusOK)
		}
	default:
		s.note("list " + query.Get("continue"))
		if s.dropLists {
			panic(http.ErrAbortHandler)
		}
		s.page(w, query)
		return
	}
	if f, ok := w.(http.Flusher); ok && !s.hang {
		f.Flush()
	}
	<-r.Context().Done()
}

// page answers a list with one Pod a page, of which there are two.
func (s *podServer) page(w http.ResponseWriter, query url.Values) {
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{ResourceVersion: "10"}}
	switch query.Get("continue") {
	case "":
		list.Items, list.Continue = []corev1.Pod{*pod("a@1")}, "more"
	default:
		list.Items = []corev1.Pod{*pod("b@2")}
	}
	if query.Get("limit") == "" {
		s.t.Errorf("a list without a limit: %v", query)
	}
	if query.Has("resourceVersion") { // An API server heeds no limit then.
		s.t.Errorf("a list of an old version: %v", query)
	}
	s.write(w, list)
}

func (s *podServer) write(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.t.Errorf("answering: %v", err)
	}
}

func (s *podServer) note(request string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
}

func (s *podServer) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// event writes one watch event of a Pod.
func (s *podServer) event(w http.ResponseWriter, what string, pod *corev1.Pod) {
	pod.APIVersion, pod.Kind = "v1", "Pod"
	text, err := json.Marshal(pod)
	if err != nil {
		s.t.Errorf("encoding: %v", err)
	}
	_, _ = fmt.Fprintf(w, `{"type":%q,"object":%s}`+"\n", what, text)
}

// start runs a source against the server until the test ends. changed is called with every state.
func (s *podServer) start(adjust func(*rest.Config)) (_ *source, changed <-chan status.State) {
	s.t.Helper()
	config := &rest.Config{Host: s.URL}
	if adjust != nil {
		adjust(config)
	}
	cluster, err := New(config, Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cluster.Close)
	metrics, _ := newTestMetrics()
	id := sourceID{kind: podKind, namespace: "payments"}
	fetch := func(res resource, dedupe func(*object) *object) (fetcher, error) {
		return newFetcher(cluster.Sources.config, cluster.Sources.client, id, res, dedupe)
	}
	src := newSource(id, cluster.Sources.kinds, fetch, logr.Discard(), metrics.Source(telemetry.SourceLabels{Kind: "Pod", APIVersion: "v1", Namespace: "payments", Selector: ""}))
	if s.endless {
		src.streamingDeadline = 200 * time.Millisecond
	}
	states := make(chan status.State, 100)
	src.subscribers.add(&subscriber{event: func(Event) {}, status: func() {
		state, _ := src.status.get()
		states <- state
	}})
	running := make(chan struct{})
	go func() {
		defer close(running)
		src.run(s.t.Context())
	}()
	s.t.Cleanup(func() { <-running })
	return src, states
}

// refuse is how an API server before Kubernetes 1.32 answers a streaming list.
func refuse(w http.ResponseWriter) (open bool) {
	w.WriteHeader(http.StatusUnprocessableEntity)
	return false
}

func await(t *testing.T, changed <-chan status.State, want status.State) {
	t.Helper()
	select {
	case got := <-changed:
		if got != want {
			t.Fatalf("state %s, want %s", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("state %s has not come", want)
	}
}

// seenUntil waits until a request has come, and returns all so far.
func (s *podServer) seenUntil(request string) []string {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if seen := s.seen(); slices.Contains(seen, request) || time.Now().After(deadline) {
			return seen
		}
	}
}

// wantAtOnce fails the test when a request was sent ten times more before its failure was known.
// The source itself sends a few, with pauses between them, while this machine stands still.
func (s *podServer) wantAtOnce() {
	s.t.Helper()
	times := map[string]int{}
	for _, request := range s.seen() {
		if times[request]++; times[request] == 10 {
			s.t.Errorf("%q was sent ten times", request)
		}
	}
}

func TestStreamingListOverHTTP(t *testing.T) {
	server := newPodServer(t)
	server.stream = func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", runtime.ContentTypeJSON)
		server.event(w, "ADDED", pod("a@1"))
		server.event(w, "ADDED", pod("b@2"))
		server.event(w, "BOOKMARK", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: "10", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}})
		return true
	}
	src, changed := server.start(nil)
	await(t, changed, status.Running)
	if got := server.seen(); !slices.Equal(got, []string{"stream"}) || src.store.size() != 2 {
		t.Errorf("requests %q, %d objects", got, src.store.size())
	}
}

// The API server takes the request and sends objects, but never the bookmark that ends the list.
func TestEndlessStreamingListFallsBack(t *testing.T) {
	server := newPodServer(t)
	server.stream = func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", runtime.ContentTypeJSON)
		server.event(w, "ADDED", pod("a@1"))
		return true
	}
	server.endless = true
	src, changed := server.start(nil)
	await(t, changed, status.Running)
	want := []string{"stream", "list ", "list more", "watch"}
	if got := server.seenUntil("watch"); !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
	if src.store.size() != 2 {
		t.Errorf("%d objects in the cache, want 2", src.store.size())
	}
}

func TestRefusedStreamingListFallsBack(t *testing.T) {
	server := newPodServer(t)
	server.stream = refuse
	_, changed := server.start(nil)
	await(t, changed, status.Running)
	got := server.seenUntil("watch")
	if len(got) < 4 || !slices.Equal(got[len(got)-3:], []string{"list ", "list more", "watch"}) {
		t.Errorf("requests %q", got)
	}
}

// What is no event of an object of the kind ends the watch with an error that shows nothing of it.
func TestStrangeEvents(t *testing.T) {
	const secret = "aHVudGVyMg=="
	for name, tc := range map[string]struct{ event, want string }{
		"no such type": {`{"type":"FOO","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"data":"` + secret + `"}}`,
			`reading an event: there is no type "FOO"`},
		"another kind": {`{"type":"ADDED","object":{"kind":"Status","apiVersion":"v1","metadata":{},"message":"` + secret + `"}}`,
			`reading an event: it is of a "Status", not of a Pod`},
		"no name": {`{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{},"data":"` + secret + `"}}`,
			"reading an event: what has arrived is no object: it has no name"},
		"nothing": {`{"type":"ADDED"}`, "reading an event: the message is cut off or damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newPodServer(t)
			server.stream = func(w http.ResponseWriter) bool {
				w.Header().Set("Content-Type", runtime.ContentTypeJSON)
				_, _ = fmt.Fprintln(w, tc.event)
				return true
			}
			keep := func(o *object) *object { return o }
			pods := resource{gvr: podKind.GroupVersion().WithResource("pods"), namespaced: true}
			f, err := newFetcher(&rest.Config{Host: server.URL}, server.Client(), sourceID{kind: podKind, namespace: "payments"}, pods, keep)
			if err != nil {
				t.Fatal(err)
			}
			yes := true
			watch, err := f.watch(t.Context(), metav1.ListOptions{SendInitialEvents: &yes})
			if err != nil {
				t.Fatal(err)
			}
			defer watch.Stop()
			event := <-watch.ResultChan()
			status, ok := event.Object.(*metav1.Status)
			if !ok || !strings.HasSuffix(status.Message, tc.want) || strings.Contains(status.Message, secret) {
				t.Errorf("%v, want an error that ends with %q", event, tc.want)
			}
		})
	}
}

// An object that is printed, or logged as JSON, shows its name alone, also within something else.
func TestObjectsArePrintedByName(t *testing.T) {
	o := arrival(t, podKind, pod("a@1"))
	text, err := json.Marshal(watch.Event{Type: watch.Added, Object: o})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"Type":"ADDED","Object":"payments/a"}`; string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
	for _, verb := range []string{"%v", "%+v", "%s"} {
		if got := fmt.Sprintf(verb, watch.Event{Type: watch.Added, Object: o}); !strings.Contains(got, "payments/a}") {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

// What has not changed when everything is streamed again is not kept a second time.
func TestStreamedAgainKeepsTheSameObjects(t *testing.T) {
	server := newPodServer(t)
	server.stream = func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", runtime.ContentTypeJSON)
		server.event(w, "ADDED", pod("a@1"))
		server.event(w, "ADDED", pod("b@2"))
		server.event(w, "BOOKMARK", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: "10", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}})
		return true
	}
	src, changed := server.start(nil)
	await(t, changed, status.Running)
	yes := true
	again, err := src.lw.fetcher.watch(t.Context(), metav1.ListOptions{SendInitialEvents: &yes})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop()
	for _, name := range []string{"a", "b"} {
		if got := (<-again.ResultChan()).Object; got != src.store.objects[Key{"payments", name}] {
			t.Errorf("the stream has another %s", name)
		}
	}
}

// The same for lists.
func TestListedAgainKeepsTheSameObjects(t *testing.T) {
	server := newPodServer(t)
	server.stream = refuse
	src, changed := server.start(nil)
	await(t, changed, status.Running)
	for page, name := range map[string]string{"": "a", "more": "b"} {
		list, err := src.lw.fetcher.list(t.Context(), metav1.ListOptions{Limit: 1, Continue: page})
		if err != nil {
			t.Fatal(err)
		}
		if got := list.(*objectList).Items[0]; got != src.store.objects[Key{"payments", name}] {
			t.Errorf("the list has another %s", name)
		}
	}
}

// client-go would send a request whose connection fails ten times more, and then report no error.
// The source has to know at once.
func TestWatchWhoseConnectionFails(t *testing.T) {
	tests := map[string]struct {
		arrange func(*podServer, *rest.Config)
		want    string
	}{
		"no answer": {
			func(s *podServer, config *rest.Config) {
				s.hang, s.stream = true, refuse
				config.Transport = &http.Transport{ResponseHeaderTimeout: 300 * time.Millisecond}
			},
			"the API server cannot be reached: net/http: timeout awaiting response headers",
		},
		"dropped": {
			func(s *podServer, _ *rest.Config) {
				s.stream = func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) }
			},
			"the API server cannot be reached: EOF",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := newPodServer(t)
			src, changed := server.start(func(config *rest.Config) { tc.arrange(server, config) })
			await(t, changed, status.Degraded)
			server.wantAtOnce()
			if _, reason := src.stateAndReason(); reason != tc.want {
				t.Errorf("reason %q, want %q", reason, tc.want)
			}
		})
	}
}

// The same for lists.
func TestListWhoseConnectionIsDropped(t *testing.T) {
	server := newPodServer(t)
	server.stream, server.dropLists = refuse, true
	src, changed := server.start(nil)
	await(t, changed, status.Degraded)
	server.wantAtOnce()
	if _, reason := src.stateAndReason(); reason != "the API server cannot be reached: EOF" {
		t.Errorf("reason %q", reason)
	}
}
