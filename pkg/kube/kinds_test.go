package kube

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
)

// documents answers questions for kinds, with a document or an error for each group and version.
type documents struct {
	discovery.ServerResourcesInterfaceWithContext // nil: nothing else may be asked
	answer                                        func(ctx context.Context, gv string) (*metav1.APIResourceList, error)
	asked                                         atomic.Int32
}

func (d *documents) ServerResourcesForGroupVersionWithContext(ctx context.Context, gv string) (*metav1.APIResourceList, error) {
	d.asked.Add(1)
	return d.answer(ctx, gv)
}

func widgetDocument() *metav1.APIResourceList {
	return &metav1.APIResourceList{GroupVersion: "example.com/v1", APIResources: []metav1.APIResource{
		{Name: "widgets/status", Kind: "Widget", Namespaced: true, Verbs: metav1.Verbs{"get"}},
		{Name: "widgets", Kind: "Widget", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch"}},
		{Name: "fleets", Kind: "Fleet", Verbs: metav1.Verbs{"list", "watch"}},
		{Name: "reviews", Kind: "Review", Verbs: metav1.Verbs{"create"}},
	}}
}

// The document comes over HTTP here, so that the errors are those that client-go makes of answers.
func TestFindKinds(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter){
		"/apis/example.com/v1": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(widgetDocument()); err != nil {
				t.Errorf("answering: %v", err)
			}
		},
		"/apis/broken.com/v1": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"/apis/secret.com/v1": func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := answers[r.URL.Path]; answer != nil {
			answer(w)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	client, err := discovery.NewDiscoveryClientForConfigAndClient(&rest.Config{Host: server.URL}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		kind    schema.GroupVersionKind
		want    resource
		wantErr string
		absent  bool
	}{
		"namespaced": {kind: widgetKind, want: resource{widgetKind.GroupVersion().WithResource("widgets"), true}},
		"cluster-scoped": {
			kind: widgetKind.GroupVersion().WithKind("Fleet"),
			want: resource{widgetKind.GroupVersion().WithResource("fleets"), false},
		},
		"cannot be watched": {
			kind:    widgetKind.GroupVersion().WithKind("Review"),
			wantErr: "kind Review of example.com/v1 cannot be listed and watched",
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
			kind:    schema.GroupVersionKind{Group: "broken.com", Version: "v1", Kind: "A"},
			wantErr: "asking the API server for the kinds of broken.com/v1: ",
		},
		"forbidden": {
			kind:    schema.GroupVersionKind{Group: "secret.com", Version: "v1", Kind: "A"},
			wantErr: "asking the API server for the kinds of secret.com/v1: ",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := newKinds(client).find(t.Context(), tc.kind)
			if got != tc.want {
				t.Errorf("found %+v, want %+v", got, tc.want)
			}
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.wantErr)) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
			if isNotServed(err) != tc.absent {
				t.Errorf("taken for a kind that is not served: %t, want %t", isNotServed(err), tc.absent)
			}
		})
	}
}

func TestKindsShareOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docs := &documents{answer: func(context.Context, string) (*metav1.APIResourceList, error) {
			time.Sleep(100 * time.Millisecond)
			return widgetDocument(), nil
		}}
		k := newKinds(docs)
		ask := func(callers int) {
			var asking sync.WaitGroup
			for range callers {
				asking.Go(func() {
					if res, err := k.find(t.Context(), widgetKind); err != nil || res.gvr.Resource != "widgets" {
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
		time.Sleep(kindAnswerAge - time.Millisecond)
		ask(50)
		if n := docs.asked.Load(); n != 1 {
			t.Errorf("a fresh answer was not used: %d requests", n)
		}
		time.Sleep(time.Millisecond)
		ask(50)
		if n := docs.asked.Load(); n != 2 {
			t.Errorf("after %s there were %d requests, want 2", kindAnswerAge, n)
		}
		if _, err := k.find(t.Context(), podKind); !isNotServed(err) || docs.asked.Load() != 3 {
			t.Errorf("another group: %v, %d requests, want 3", err, docs.asked.Load())
		}
	})
}

// Whoever asked first may go; the others must get an answer all the same.
func TestKindsSurviveTheAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docs := &documents{}
		docs.answer = func(ctx context.Context, _ string) (*metav1.APIResourceList, error) {
			if docs.asked.Load() > 1 {
				return widgetDocument(), nil
			}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		k := newKinds(docs)
		first, leave := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := k.find(first, widgetKind); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			asking.Go(func() {
				if _, err := k.find(t.Context(), widgetKind); err != nil {
					t.Errorf("who stayed got %v", err)
				}
			})
		}
		impatient, giveUp := context.WithTimeout(t.Context(), time.Second)
		defer giveUp()
		asking.Go(func() {
			if _, err := k.find(impatient, widgetKind); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who waited no longer than a second got %v", err)
			}
		})
		time.Sleep(2 * time.Second)
		began := time.Now()
		leave()
		asking.Wait()
		if time.Since(began) != 0 || docs.asked.Load() != 2 {
			t.Errorf("it took %s and %d requests, want none and 2", time.Since(began), docs.asked.Load())
		}
	})
}

// An API server that does not answer is asked again, not waited for.
func TestKindsRequestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docs := &documents{answer: func(ctx context.Context, _ string) (*metav1.APIResourceList, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		k := newKinds(docs)
		began := time.Now()
		_, err := k.find(t.Context(), widgetKind)
		if !errors.Is(err, context.DeadlineExceeded) || isNotServed(err) || apierrors.IsNotFound(err) {
			t.Errorf("error %v", err)
		}
		if time.Since(began) != kindRequestTimeout {
			t.Errorf("gave up after %s, want %s", time.Since(began), kindRequestTimeout)
		}
	})
}
