package kube

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"kooperd.dev/kooperd/pkg/kinds"
)

func TestNewCopiesItsConfig(t *testing.T) {
	config := &rest.Config{Host: "https://127.0.0.1:1", QPS: 5, Burst: 10, RateLimiter: flowcontrol.NewFakeAlwaysRateLimiter(), Timeout: time.Minute}
	cluster, err := New(config, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	if config.QPS != 5 || config.RateLimiter == nil || config.UserAgent != "" || config.WrapTransport != nil {
		t.Error("the caller's config was changed")
	}
	clients, err := cluster.Clients("pods", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if clients.REST.QPS != -1 || clients.REST.RateLimiter != nil {
		t.Errorf("handlers are slowed down: QPS %v, limiter %v", clients.REST.QPS, clients.REST.RateLimiter)
	}
	if clients.REST.Timeout != time.Minute {
		t.Errorf("the timeout of handlers' requests is %s, want the caller's", clients.REST.Timeout)
	}
	if cluster.http.Timeout != 0 || cluster.Sources.config.Timeout != 0 {
		t.Error("a timeout would end every watch")
	}
}

func TestNewRefusesABadConfig(t *testing.T) {
	for name, config := range map[string]*rest.Config{
		"certificate authority": {Host: "https://127.0.0.1:1", TLSClientConfig: rest.TLSClientConfig{CAFile: "/does/not/exist"}},
		"host":                  {Host: "http://[::1"},
	} {
		if _, err := New(config, Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The API server's log and its priority-and-fairness rules can distinguish definitions by the user
// agent.
func TestUserAgents(t *testing.T) {
	var mu sync.Mutex
	agents := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		agents[r.UserAgent()] = true
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	for _, agent := range []string{"", "kooperd/v1.2.3"} {
		cluster, err := New(&rest.Config{Host: server.URL, UserAgent: agent}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cluster.Kinds().Kind(t.Context(), widgetKind); !kinds.IsNotServed(err) {
			t.Errorf("asking for a kind: %v", err)
		}
		for _, name := range []string{"pods", "nodes"} {
			clients, err := cluster.Clients(name, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("pods")).List(t.Context(), metav1.ListOptions{})
		}
		cluster.Close()
	}
	want := map[string]bool{
		"kooperd": true, "kooperd pods": true, "kooperd nodes": true,
		"kooperd/v1.2.3": true, "kooperd/v1.2.3 pods": true, "kooperd/v1.2.3 nodes": true,
	}
	if diff := cmp.Diff(want, agents); diff != "" {
		t.Errorf("user agents (-want +got):\n%s", diff)
	}
}

// A connection left open would keep goroutines, and a slot at the API server.
func TestCloseEndsIdleConnections(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.EnableHTTP2 = true
	closed := make(chan struct{}, 10)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.StartTLS()
	defer server.Close()
	cluster, err := New(&rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Kinds().Kind(t.Context(), widgetKind); !kinds.IsNotServed(err) {
		t.Fatalf("asking for a kind: %v", err)
	}
	cluster.Close()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("the connection stays open")
	}
}
