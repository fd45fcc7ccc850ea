package compose_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/test/cluster"
)

// cutter stands between an installation and the API server and counts the writes. Of the one that
// it is armed for, the API server's answer never arrives, and later ones do not reach the API
// server: so the world is as it is right after that write.
type cutter struct {
	kubeconfig string
	upstream   http.Handler
	leases     string // the namespace whose objects do not count

	mu      sync.Mutex
	after   int // 0: everything passes
	writes  int
	reached chan struct{}
}

func newCutter(t *testing.T, r *rig) *cutter {
	t.Helper()
	upstream, err := rest.TransportFor(rest.AnonymousClientConfig(shared.AdminConfig()))
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(shared.AdminConfig().Host)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{leases: r.leases}
	c.upstream = &httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(target) },
		Transport:     upstream,
		FlushInterval: -1, // watches
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewUnstartedServer(c)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	config := rest.AnonymousClientConfig(r.rest)
	config.Host, config.BearerToken = server.URL, r.rest.BearerToken
	config.CAFile = ""
	config.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	c.kubeconfig = cluster.WriteKubeconfig(t, config, r.leases)
	return c
}

// arm makes the k-th write from now on the last one. It returns a channel that is closed when that
// write is done.
func (c *cutter) arm(k int) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after, c.writes, c.reached = k, 0, make(chan struct{})
	return c.reached
}

// disarm lets everything pass.
func (c *cutter) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after = 0
}

// count counts a write. It returns its number, and that of the last one that arrives, or 0.
func (c *cutter) count() (n, after int, reached chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	return c.writes, c.after, c.reached
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !c.counts(req) {
		c.upstream.ServeHTTP(w, req)
		return
	}
	switch n, after, reached := c.count(); {
	case after == 0 || n < after:
		c.upstream.ServeHTTP(w, req)
	case n == after:
		c.upstream.ServeHTTP(httptest.NewRecorder(), req.WithContext(context.WithoutCancel(req.Context())))
		close(reached)
		<-req.Context().Done()
	default:
		<-req.Context().Done()
	}
}

// counts reports whether a request is a write for a parent.
func (c *cutter) counts(req *http.Request) bool {
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return false
	}
	for _, part := range []string{"/namespaces/" + c.leases + "/", "/events", "/apis/authorization.k8s.io/"} {
		if strings.Contains(req.URL.Path, part) {
			return false
		}
	}
	return true
}
