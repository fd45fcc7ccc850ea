package election

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// These tests are about connections: which there are, and what becomes of them. What the API server
// does with a Lease is not in them.

// endpoint is an HTTPS server that speaks both versions of HTTP and keeps what it was asked.
type endpoint struct {
	config *rest.Config
	wires  *wires

	mu       sync.Mutex
	requests []*http.Request
	handle   http.HandlerFunc
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{wires: &wires{}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.requests = append(e.requests, r)
		handle := e.handle
		e.mu.Unlock()
		handle(w, r)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(e.wires.cut)
	e.config = &rest.Config{
		Host:            server.URL,
		Dial:            e.wires.dial,
		TLSClientConfig: rest.TLSClientConfig{CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
	}
	e.answer(http.StatusOK, lease("1"))
	return e
}

func (e *endpoint) answer(code int, object any) {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handle = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if code == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(code)
		if r.URL.Query().Get("watch") == "" {
			_, _ = w.Write(data) // a client that has left does not need it
			return
		}
		_, _ = io.WriteString(w, `{"type":"ADDED","object":`+string(data)+"}\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func (e *endpoint) seen() []*http.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*http.Request(nil), e.requests...)
}

// client returns one whose watches are not given up, however long this machine stands still.
func (e *endpoint) client(t *testing.T) *APIClient {
	t.Helper()
	return e.impatient(t, time.Minute)
}

// impatient returns a client that probes a watch after some time.
func (e *endpoint) impatient(t *testing.T, after time.Duration) *APIClient {
	t.Helper()
	c, err := NewLeaseClient(e.config, after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func lease(rv string) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: testName, ResourceVersion: rv, UID: "u"},
	}
}

// wires is a network whose cables can be cut without a notice.
type wires struct {
	mu    sync.Mutex
	conns []*wire
}

func (n *wires) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, silent: make(chan struct{}), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, w)
	return w, nil
}

func (n *wires) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// silence makes all connections that exist now lose everything; later ones work.
func (n *wires) silence() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.conns {
		w.mute.Do(func() { close(w.silent) })
	}
}

func (n *wires) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.conns {
		_ = w.Close() // the test is over
	}
}

type wire struct {
	net.Conn
	mute, shut     sync.Once
	silent, closed chan struct{}
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	select {
	case <-w.silent:
		<-w.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (w *wire) Write(p []byte) (int, error) {
	select {
	case <-w.silent:
		return len(p), nil
	default:
		return w.Conn.Write(p)
	}
}

func (w *wire) Close() error {
	w.shut.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

func TestRequestsAndWatchHaveTheirOwnConnections(t *testing.T) {
	e := newEndpoint(t)
	others, err := kubernetes.NewForConfig(e.config)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := others.CoordinationV1().Leases(testNamespace).Get(t.Context(), testName, metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if e.wires.count() != 1 {
		t.Fatalf("%d connections of an ordinary client", e.wires.count())
	}
	c := e.client(t)
	for range 3 {
		if got, err := c.Get(t.Context(), testNamespace, testName); err != nil || got.ResourceVersion != "1" {
			t.Fatalf("%v, %v", got, err)
		}
		if _, err := c.Update(t.Context(), lease("1")); err != nil {
			t.Fatal(err)
		}
	}
	if e.wires.count() != 2 {
		t.Errorf("%d connections, want one more for all requests", e.wires.count())
	}
	w, err := c.Watch(t.Context(), testNamespace, testName)
	if err != nil {
		t.Fatal(err)
	}
	if event := <-w.ResultChan(); event.Object.(*coordinationv1.Lease).Name != testName {
		t.Errorf("the watch reports %+v", event)
	}
	w.Stop()
	if e.wires.count() != 3 {
		t.Errorf("%d connections, want one more for the watch", e.wires.count())
	}
	seen := e.seen()
	if got := seen[len(seen)-2].Proto; got != "HTTP/1.1" {
		t.Errorf("a request went over %s", got)
	}
	last := seen[len(seen)-1]
	if last.Proto != "HTTP/2.0" || last.URL.Query().Get("fieldSelector") != "metadata.name=kooperd" {
		t.Errorf("the watch went over %s to %s", last.Proto, last.URL)
	}
}

func TestDeadConnectionCostsOneRequest(t *testing.T) {
	e := newEndpoint(t)
	c := e.client(t)
	if _, err := c.Get(t.Context(), testNamespace, testName); err != nil {
		t.Fatal(err)
	}
	e.wires.silence()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Update(ctx, lease("1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("over a dead connection: %v", err)
	}
	if _, err := c.Update(t.Context(), lease("1")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if e.wires.count() != 2 {
		t.Errorf("%d connections", e.wires.count())
	}
}

func TestDeadWatchIsNoticed(t *testing.T) {
	e := newEndpoint(t)
	c := e.impatient(t, 100*time.Millisecond)
	w, err := c.Watch(t.Context(), testNamespace, testName)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	<-w.ResultChan()
	e.wires.silence()
	start := time.Now()
	for range w.ResultChan() { // until it is closed
	}
	if got := time.Since(start); got > 30*time.Second { // TCP would take a quarter of an hour.
		t.Errorf("the watch ended after %s; it is probed after 100ms and given up after 100ms more", got)
	}
}

func TestServerKnowsTheTimeLimit(t *testing.T) {
	e := newEndpoint(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := e.client(t).Update(ctx, lease("1")); err != nil {
		t.Fatal(err)
	}
	limit, err := time.ParseDuration(e.seen()[0].URL.Query().Get("timeout"))
	if err != nil || limit <= 30*time.Second || limit > time.Minute {
		t.Errorf("the request says %s", e.seen()[0].URL)
	}
}

func TestAnswersAreNotRepeated(t *testing.T) {
	tests := map[string]struct {
		code  int
		conns int // afterwards, and after one request more
	}{
		"too many requests": {http.StatusTooManyRequests, 1},
		"conflict":          {http.StatusConflict, 1},
		"forbidden":         {http.StatusForbidden, 1},
		"internal error":    {http.StatusInternalServerError, 2}, // another API server may do better
		"unavailable":       {http.StatusServiceUnavailable, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t)
			c := e.client(t)
			e.answer(tt.code, &metav1.Status{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
				Status:   metav1.StatusFailure, Code: int32(tt.code), Message: "no " + strconv.Itoa(tt.code),
			})
			var status apierrors.APIStatus
			if _, err := c.Update(t.Context(), lease("1")); !errors.As(err, &status) || status.Status().Code != int32(tt.code) {
				t.Errorf("got %v", err)
			}
			if n := len(e.seen()); n != 1 {
				t.Errorf("%d requests were sent", n)
			}
			e.answer(http.StatusOK, lease("2"))
			if _, err := c.Update(t.Context(), lease("1")); err != nil {
				t.Error(err)
			}
			if e.wires.count() != tt.conns {
				t.Errorf("%d connections, want %d", e.wires.count(), tt.conns)
			}
		})
	}
}

func TestGoneMeansTheServerSaysSo(t *testing.T) {
	e := newEndpoint(t)
	c := e.client(t)
	missing := apierrors.NewNotFound(leases, testName).Status()
	missing.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	e.answer(http.StatusNotFound, missing)
	if _, err := c.Get(t.Context(), testNamespace, testName); !gone(err) {
		t.Errorf("a Status: %v", err)
	}
	e.answer(http.StatusNotFound, "404 page not found")
	if _, err := c.Get(t.Context(), testNamespace, testName); err == nil || gone(err) {
		t.Errorf("a page: %v", err)
	}
}

func TestClosedClient(t *testing.T) {
	e := newEndpoint(t)
	c := e.client(t)
	if _, err := c.Get(t.Context(), testNamespace, testName); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Close()
	if _, err := c.Get(t.Context(), testNamespace, testName); err == nil {
		t.Error("a closed client works")
	}
}

// TestProxyThatRefuses is about the error of a connection that a proxy does not let through.
func TestProxyThatRefuses(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	e := newEndpoint(t)
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	e.config.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("me", "secret"), Host: address.Host})
	_, err = e.client(t).Get(t.Context(), testNamespace, testName)
	want := "the proxy " + proxy.URL + ` does not let the connection through and answers "Forbidden"`
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Get returned %v, want %s", err, want)
	}
}

func TestForeignTransportIsRefused(t *testing.T) {
	if _, err := NewLeaseClient(&rest.Config{Host: "https://localhost", Transport: http.DefaultTransport}, 0); err == nil {
		t.Error("a connection that cannot be kept apart is accepted")
	}
}

func TestConfigIsCopied(t *testing.T) {
	e := newEndpoint(t)
	c := e.client(t)
	e.config.Host = "https://localhost:1"
	if _, err := c.Get(t.Context(), testNamespace, testName); err != nil {
		t.Errorf("after a change of the caller's config: %v", err)
	}
	if e.config.APIPath != "" || e.config.GroupVersion != nil {
		t.Error("the caller's config was changed")
	}
}
