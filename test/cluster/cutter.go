package cluster

import (
	"context"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// Cutter stands between an installation and the API server and counts the writes. Of the one that
// it is armed for, the API server's answer does not arrive, and later ones do not reach the API
// server: so the world is as it is right after that write, until Release. Its methods may be called
// concurrently.
type Cutter struct {
	config   *rest.Config
	upstream http.Handler
	counts   func(*http.Request) bool

	mu       sync.Mutex
	after    int // 0: everything passes
	writes   int
	reached  chan struct{}
	released chan struct{}
}

// Cutter returns a cutter for the user of config, which ends with the test. Of the requests that
// would change something, those count that counts is true of.
func (c *Cluster) Cutter(t testing.TB, config *rest.Config, counts func(*http.Request) bool) *Cutter {
	t.Helper()
	admin := c.AdminConfig()
	upstream, err := rest.TransportFor(rest.AnonymousClientConfig(admin))
	if err != nil {
		t.Fatalf("making a cutter: %v", err)
	}
	target, err := url.Parse(admin.Host)
	if err != nil {
		t.Fatalf("making a cutter: %v", err)
	}
	cutter := &Cutter{counts: counts, released: make(chan struct{})}
	cutter.upstream = &httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(target) },
		Transport:     upstream,
		FlushInterval: -1, // watches
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewUnstartedServer(cutter)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() {
		cutter.Release()
		server.CloseClientConnections()
		server.Close()
	})
	cutter.config = rest.AnonymousClientConfig(config)
	cutter.config.Host, cutter.config.BearerToken = server.URL, config.BearerToken
	cutter.config.CAFile = ""
	cutter.config.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return cutter
}

// Kubeconfig writes a kubeconfig whose requests go through the cutter, like WriteKubeconfig.
func (c *Cutter) Kubeconfig(t testing.TB, namespace string) string {
	t.Helper()
	return WriteKubeconfig(t, c.config, namespace)
}

// Arm makes the k-th write from now on the last one. It returns a channel that is closed when that
// write is done.
func (c *Cutter) Arm(k int) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after, c.writes, c.reached = k, 0, make(chan struct{})
	return c.reached
}

// Release lets everything pass, what is held up included.
func (c *Cutter) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after = 0
	close(c.released)
	c.released = make(chan struct{})
}

// count counts a write. It returns its number, that of the last one that arrives, or 0, and what is
// closed when that one is done, and by Release.
func (c *Cutter) count() (n, after int, reached, released chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	return c.writes, c.after, c.reached, c.released
}

// ServeHTTP passes a request on.
func (c *Cutter) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !isWrite(req) || !c.counts(req) {
		c.upstream.ServeHTTP(w, req)
		return
	}
	n, after, reached, released := c.count()
	if after == 0 || n < after {
		c.upstream.ServeHTTP(w, req)
		return
	}
	answer := httptest.NewRecorder()
	if n == after {
		c.upstream.ServeHTTP(answer, req.WithContext(context.WithoutCancel(req.Context())))
		close(reached)
	}
	select {
	case <-req.Context().Done():
		return
	case <-released:
	}
	if n > after {
		c.upstream.ServeHTTP(w, req)
		return
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // The client sees what is missing.
}

// isWrite reports whether a request would change something.
func isWrite(req *http.Request) bool {
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return !req.URL.Query().Has("dryRun")
	}
	return false
}
