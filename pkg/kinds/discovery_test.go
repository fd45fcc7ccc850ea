package kinds_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kinds"
)

// documents answers questions for kinds, with a document or an error for each group and version.
type documents struct {
	answer func(ctx context.Context, gv string) (*metav1.APIResourceList, error)
	asked  atomic.Int32
}

func (d *documents) ServerResourcesForGroupVersionWithContext(ctx context.Context, gv string) (*metav1.APIResourceList, error) {
	d.asked.Add(1)
	return d.answer(ctx, gv)
}

func (d *documents) RESTClient() rest.Interface { return nil } // groups are not asked for

var (
	widgetKind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	podKind    = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
)

func widgetDocument() *metav1.APIResourceList {
	return &metav1.APIResourceList{GroupVersion: "example.com/v1", APIResources: []metav1.APIResource{
		{Name: "widgets/status", Kind: "Widget", Namespaced: true, Verbs: metav1.Verbs{"get", "patch"}},
		{Name: "widgets", SingularName: "widget", Kind: "Widget", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch"}},
		{Name: "fleets", Kind: "Fleet", Verbs: metav1.Verbs{"list", "watch"}},
		{Name: "reviews", Kind: "Review", Verbs: metav1.Verbs{"create"}},
		{Name: "reports", Kind: "Report", Verbs: metav1.Verbs{"get", "list"}},
	}}
}

// serve returns a Discovery of a server with an example group beside three that are broken. The
// documents come over HTTP, so that the errors are those that client-go makes of answers.
func serve(t *testing.T) *kinds.Discovery {
	t.Helper()
	write := func(document any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(document); err != nil {
				t.Errorf("answering: %v", err)
			}
		}
	}
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, status) }
	}
	group := func(name string, versions ...string) *metav1.APIGroup {
		g := &metav1.APIGroup{Name: name}
		for _, v := range versions {
			g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
		}
		g.PreferredVersion = g.Versions[0]
		return g
	}
	mux := http.NewServeMux()
	mux.Handle("/apis", write(&metav1.APIGroupList{Groups: []metav1.APIGroup{
		*group("example.com", "v2", "v1"), *group("broken.com", "v1"), *group("gone.com", "v1"),
	}}))
	mux.Handle("/api/v1", write(&metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "reports", SingularName: "report", Kind: "Report", ShortNames: []string{"rep"}, Verbs: metav1.Verbs{"list"}},
	}}))
	mux.Handle("/apis/example.com", write(group("example.com", "v2", "v1")))
	mux.Handle("/apis/example.com/v1", write(widgetDocument()))
	mux.Handle("/apis/example.com/v2", answer(http.StatusServiceUnavailable, "service unavailable"))
	mux.Handle("/apis/broken.com", write(group("broken.com", "v1")))
	mux.Handle("/apis/broken.com/v1", answer(http.StatusServiceUnavailable, "service unavailable"))
	mux.Handle("/apis/secret.com/v1", answer(http.StatusForbidden, ""))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := discovery.NewDiscoveryClientForConfigAndClient(&rest.Config{Host: server.URL}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	d := kinds.NewDiscovery(client)
	t.Cleanup(d.Close)
	return d
}

func TestDiscoveryOfKinds(t *testing.T) {
	tests := map[string]struct {
		kind         schema.GroupVersionKind
		inNamespaces bool
		want         string
		wantErr      string
		absent       bool
	}{
		"namespaced":     {kind: widgetKind, inNamespaces: true, want: "widgets"},
		"cluster-scoped": {kind: widgetKind.GroupVersion().WithKind("Fleet"), want: "fleets"},
		"cluster-scoped with namespaces": {
			kind: widgetKind.GroupVersion().WithKind("Fleet"), inNamespaces: true,
			wantErr: "kind Fleet is cluster-scoped: remove watch.namespaces",
		},
		"can only be created": {
			kind:    widgetKind.GroupVersion().WithKind("Review"),
			wantErr: "kind Review of example.com/v1 can neither be listed nor watched",
		},
		"cannot be watched": {
			kind:    widgetKind.GroupVersion().WithKind("Report"),
			wantErr: "kind Report of example.com/v1 can be listed but not watched",
		},
		"no such kind": {
			kind: widgetKind.GroupVersion().WithKind("Gadget"), absent: true,
			wantErr: "the API server does not serve kind Gadget of example.com/v1",
		},
		"no such group": {
			kind: schema.GroupVersionKind{Group: "none.com", Version: "v1", Kind: "A"}, absent: true,
			wantErr: "the API server does not serve kind A of none.com/v1",
		},
		"group out of service": {
			kind: schema.GroupVersionKind{Group: "broken.com", Version: "v1", Kind: "A"},
			wantErr: "asking the API server for the kinds of broken.com/v1: the API server answers: " +
				"the server is currently unable to handle the request (service unavailable)",
		},
		"forbidden": {
			kind: schema.GroupVersionKind{Group: "secret.com", Version: "v1", Kind: "A"},
			wantErr: "forbidden to ask which kinds of secret.com/v1 there are; a ClusterRoleBinding to the ClusterRole " +
				"system:discovery is missing",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := kinds.Watchable(t.Context(), serve(t), tc.kind, tc.inNamespaces)
			if got.Name != tc.want || err == nil && (got.Version != "v1" || got.Namespaced != tc.inNamespaces) {
				t.Errorf("found %+v, want %s", got, tc.want)
			}
			checkError(t, err, tc.wantErr)
			if kinds.IsNotServed(err) != tc.absent {
				t.Errorf("taken for a kind that is not served: %t, want %t", kinds.IsNotServed(err), tc.absent)
			}
		})
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if got := errorText(err); got != want {
		t.Errorf("error:\n%s\nwant:\n%s", got, want)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDiscoveryOfResources(t *testing.T) {
	tests := map[string]struct {
		resource schema.GroupResource
		wantErr  string
	}{
		"another version is out of service": {resource: schema.GroupResource{Group: "example.com", Resource: "widgets"}},
		"out of service": {
			resource: schema.GroupResource{Group: "broken.com", Resource: "things"},
			wantErr: "asking the API server for the kinds of broken.com/v1: the API server answers: " +
				"the server is currently unable to handle the request (service unavailable)",
		},
		"no such group": {
			resource: schema.GroupResource{Group: "none.com", Resource: "deployments"},
			wantErr:  `the API server does not serve resource deployments in group none.com; did you mean apiGroups: ["apps"]?`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := serve(t).Resource(t.Context(), tc.resource)
			checkError(t, err, tc.wantErr)
			if err == nil && (got.Kind != "Widget" || !got.Namespaced || strings.Join(got.Subresources["status"], ",") != "get,patch") {
				t.Errorf("found %+v", got)
			}
		})
	}
}

func TestDiscoverySharesOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docs := &documents{answer: func(context.Context, string) (*metav1.APIResourceList, error) {
			time.Sleep(100 * time.Millisecond)
			return widgetDocument(), nil
		}}
		d := kinds.NewDiscovery(docs)
		defer d.Close()
		ask := func(callers int) {
			var asking sync.WaitGroup
			for range callers {
				asking.Go(func() {
					if res, err := d.Kind(t.Context(), widgetKind); err != nil || res.Name != "widgets" {
						t.Errorf("found %v, %v", res, err)
					}
				})
			}
			asking.Wait()
		}
		ask(50)
		if n := docs.asked.Load(); n != 1 {
			t.Errorf("50 callers at once made %d requests, want 1", n)
		}
		time.Sleep(200 * time.Millisecond)
		ask(50)
		if n := docs.asked.Load(); n != 1 {
			t.Errorf("a fresh answer was not used: %d requests", n)
		}
		if _, err := d.Kind(t.Context(), podKind); !kinds.IsNotServed(err) || docs.asked.Load() != 2 {
			t.Errorf("another version: %v after %d requests, want 2", err, docs.asked.Load())
		}
		time.Sleep(kinds.PollInterval)
		ask(50)
		if n := docs.asked.Load(); n != 3 {
			t.Errorf("after %s there were %d requests, want 3", kinds.PollInterval, n)
		}
	})
}

// The caller that made the request may go. The others get its answer all the same.
func TestDiscoverySurvivesTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docs := &documents{answer: func(context.Context, string) (*metav1.APIResourceList, error) {
			time.Sleep(2 * time.Second)
			return widgetDocument(), nil
		}}
		d := kinds.NewDiscovery(docs)
		defer d.Close()
		first, leave := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := d.Kind(first, widgetKind); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that left got %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			asking.Go(func() {
				if _, err := d.Kind(t.Context(), widgetKind); err != nil {
					t.Errorf("one that stayed got %v", err)
				}
			})
		}
		impatient, giveUp := context.WithTimeout(t.Context(), time.Second)
		defer giveUp()
		asking.Go(func() {
			if _, err := d.Kind(impatient, widgetKind); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the one that waited no longer than a second got %v", err)
			}
		})
		leave()
		asking.Wait()
		if n := docs.asked.Load(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

// A call that obeys its context ends after RequestTimeout, and one that does not keeps no caller
// any longer.
func TestDiscoveryIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		obeys   bool
		want    time.Duration
		wantErr string
	}{
		"an API server that does not answer": {true, 5 * time.Second, "asking the API server for the kinds of example.com/v1: context deadline exceeded"},
		"a credential plugin that hangs": {false, 6 * time.Second, "asking the API server for the kinds of example.com/v1: " +
			"context deadline exceeded; a credential plugin of the kubeconfig may hang"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				docs := &documents{answer: func(ctx context.Context, _ string) (*metav1.APIResourceList, error) {
					if !tc.obeys {
						<-release
					}
					<-ctx.Done()
					return nil, ctx.Err()
				}}
				d := kinds.NewDiscovery(docs)
				defer d.Close()
				for range 2 {
					began := time.Now()
					_, err := d.Kind(t.Context(), widgetKind)
					checkError(t, err, tc.wantErr)
					if !errors.Is(err, context.DeadlineExceeded) || kinds.IsNotServed(err) || apierrors.IsNotFound(err) {
						t.Errorf("error %v", err)
					}
					if took := time.Since(began); took != tc.want {
						t.Errorf("gave up after %s, want %s", took, tc.want)
					}
					time.Sleep(time.Second)
				}
				if n := docs.asked.Load(); tc.obeys && n != 2 || !tc.obeys && n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}
