package kube

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// term is a term that a test ends.
type term struct{ left atomic.Int64 }

func newTerm(left time.Duration) *term {
	t := &term{}
	t.left.Store(int64(left))
	return t
}

func (t *term) remaining() time.Duration { return time.Duration(t.left.Load()) }
func (t *term) end()                     { t.left.Store(0) }

// guests are the connections that a server has.
type guests struct {
	mu     sync.Mutex
	closed map[string]chan struct{} // by the client's address; closed with the connection
}

func (g *guests) track(conn net.Conn, state http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch address := conn.RemoteAddr().String(); state {
	case http.StateNew:
		g.closed[address] = make(chan struct{})
	case http.StateClosed:
		close(g.closed[address])
	}
}

func (g *guests) left(address string) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed[address]
}

// termRig is a server over TLS and HTTP/2, and a gate in front of it.
type termRig struct {
	*guests
	url    string
	term   *term
	gate   *Gate
	client *http.Client
}

func newTermRig(t *testing.T, handler http.HandlerFunc) *termRig {
	t.Helper()
	r := &termRig{guests: &guests{closed: map[string]chan struct{}{}}, term: newTerm(time.Hour)}
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ConnState = r.track
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	metrics, _ := newTestMetrics()
	cluster, err := New(&rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}, Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r.url, r.gate = server.URL, NewGate(r.term.remaining, metrics)
	clients, err := cluster.Clients("pods", r.gate, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.client, err = rest.HTTPClientFor(clients.REST); err != nil {
		t.Fatal(err)
	}
	return r
}

// send sends a request and returns what the server has answered.
func (r *termRig) send(ctx context.Context, method string, body io.Reader) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.url+podsPath, body)
	if err != nil {
		return "", err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return string(answer), err
}

// sayWho answers with the address of the client and the protocol.
func sayWho(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.Proto+" "+r.RemoteAddr)
}

func TestWritesHaveTheirOwnConnection(t *testing.T) {
	r := newTermRig(t, sayWho)
	answers := map[string]string{}
	for name, method := range map[string]string{"read": http.MethodGet, "write": http.MethodPost, "other write": http.MethodDelete} {
		answer, err := r.send(t.Context(), method, http.NoBody)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answers[name] = answer
	}
	if answers["write"] != answers["other write"] {
		t.Errorf("writes use the connections %q and %q, want one", answers["write"], answers["other write"])
	}
	if answers["read"] == answers["write"] {
		t.Errorf("reads and writes share the connection %q", answers["read"])
	}
	if got := answers["write"][:8]; got != "HTTP/2.0" {
		t.Errorf("writes are sent over %s, want HTTP/2.0", got)
	}
}

// A lost lease ends what is on its way: the connection is reset, although neither the caller nor
// the gate's own deadline cancels the request.
func TestEndOfTermResetsConnections(t *testing.T) {
	arrived := make(chan string, 1)
	r := newTermRig(t, func(_ http.ResponseWriter, req *http.Request) {
		arrived <- req.RemoteAddr
		<-req.Context().Done()
	})
	failed := make(chan error, 1)
	go func() {
		_, err := r.send(t.Context(), http.MethodPost, http.NoBody)
		failed <- err
	}()
	address := <-arrived
	r.term.end()
	if err := <-failed; !errors.Is(err, ErrNotLeading) {
		t.Errorf("the write ended with %v, want ErrNotLeading", err)
	}
	select {
	case <-r.left(address):
	case <-time.After(patience):
		t.Error("the connection is still open")
	}
}

// An idle connection ends with the term, too, and the next term gets another one.
func TestNextTermHasAnotherConnection(t *testing.T) {
	r := newTermRig(t, sayWho)
	first, err := r.send(t.Context(), http.MethodPost, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.term.end()
	select {
	case <-r.left(first[len("HTTP/2.0 "):]):
	case <-time.After(patience):
		t.Fatal("the connection outlives the term")
	}
	r.gate.writes.mu.Lock()
	if r.gate.writes.transport != nil {
		t.Error("the transport, which may not know yet that its connection is closed, is used again")
	}
	r.gate.writes.mu.Unlock()
	r.term.left.Store(int64(time.Hour))
	if second, err := r.send(t.Context(), http.MethodPost, http.NoBody); err != nil || second == first {
		t.Errorf("the write of the next term used %q, %v", second, err)
	}
}

// endOfTerm is a body in the middle of which the term ends, as when the process is stopped after it
// has passed the gate.
type endOfTerm struct {
	term *term
	left int
}

func (b *endOfTerm) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	b.term.end()
	n := min(len(p), b.left)
	b.left -= n
	return n, nil
}

func TestNothingIsSentAfterTheTerm(t *testing.T) {
	received := make(chan error, 1)
	r := newTermRig(t, func(_ http.ResponseWriter, req *http.Request) {
		_, err := io.Copy(io.Discard, req.Body)
		received <- err
	})
	_, err := r.send(t.Context(), http.MethodPost, &endOfTerm{term: r.term, left: 1 << 10})
	if !errors.Is(err, ErrNotLeading) {
		t.Errorf("the write ended with %v, want ErrNotLeading", err)
	}
	select {
	case err := <-received:
		if err == nil {
			t.Error("the server has received the whole request")
		}
	case <-time.After(termCheckInterval): // it has not even seen the beginning
	}
}

// What a caller does with a copy of the config for another server is not the line's business.
func TestOtherHostsAreNotTheLines(t *testing.T) {
	r := newTermRig(t, sayWho)
	var asked atomic.Int32
	next := roundTripFunc(func(*http.Request) (*http.Response, error) {
		asked.Add(1)
		return nil, errors.New("not reachable")
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://elsewhere.invalid"+podsPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := r.gate.Wrap(next).RoundTrip(req); err == nil {
		_ = resp.Body.Close()
	}
	if asked.Load() != 1 {
		t.Error("the write to another host was not left to the transport of the config")
	}
}

func TestNoLineForForeignTransports(t *testing.T) {
	metrics, _ := newTestMetrics()
	var asked atomic.Int32
	transport := roundTripFunc(func(*http.Request) (*http.Response, error) {
		asked.Add(1)
		return nil, errors.New("not reachable")
	})
	cluster, err := New(&rest.Config{Host: "https://example.invalid", Transport: transport}, Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	clients, err := cluster.Clients("pods", NewGate(always(time.Hour), metrics), nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(clients.REST)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Post("https://example.invalid"+podsPath, "", http.NoBody); err == nil {
		_ = resp.Body.Close()
	}
	if asked.Load() != 1 {
		t.Error("the write was not left to the transport of the config")
	}
}
