package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/telemetry"
)

// ErrNotLeading is the error of every request that the gate refuses; errors.Is finds it through
// client-go's wrapping.
var ErrNotLeading = errors.New("this replica does not hold the lease, or no longer long enough")

// SlowWriteError is the error of a write that took longer than what was left of the term when it
// was sent, although the lease has been renewed since: it may not be carried out later. What slows
// it down is on its way, such as an admission webhook. It is a context.DeadlineExceeded.
type SlowWriteError struct {
	// Within is what was left of the term.
	Within time.Duration
}

func (e *SlowWriteError) Error() string {
	return fmt.Sprintf("no answer within %s, all that was left of the term when the write was sent; the lease is held, "+
		"the API server or an admission webhook is slow", e.Within.Round(time.Millisecond))
}

// Is makes it a context.DeadlineExceeded.
func (e *SlowWriteError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout makes it a timeout for those who ask a net.Error.
func (e *SlowWriteError) Timeout() bool { return true }

// Gate decides which requests of handlers may leave the process. Its zero value is not usable; see
// NewGate.
type Gate struct {
	remaining func() time.Duration
	metrics   *telemetry.Metrics
	reserve   time.Duration

	mu     sync.Mutex
	writes *termTransport // nil until Cluster.Clients has been called with the gate
}

// NewGate returns a gate that lets writes through while remaining is greater than zero. remaining
// is how long this replica may still write; it is called for every write, on the caller's
// goroutine, so it has to be cheap and safe for concurrent use. Refused requests are counted in
// metrics, which is required.
func NewGate(remaining func() time.Duration, metrics *telemetry.Metrics) *Gate {
	return &Gate{remaining: remaining, metrics: metrics, reserve: defaultReserve}
}

// Open reports whether a write would be let through at this moment. A nil gate is always open.
func (g *Gate) Open() bool { return g == nil || g.remaining() > 0 }

// Reserve sets how much time lies between the end of a term and the first moment at which another
// replica can lead. It is positive; the default is 5 s. A write of the term that has not been
// delivered by then never is, as far as this machine can ensure that: what lies beyond it, such as
// a load balancer, may hold a write back for longer. Reserve must be called before the gate is
// used.
func (g *Gate) Reserve(d time.Duration) { g.reserve = d }

// Wrap puts the gate in front of next.
//
// A read (GET, HEAD, OPTIONS) always passes: it changes nothing, and a standby keeps its caches
// warm with it. Outside the term, anything else is refused with ErrNotLeading. So is a session with
// a pod (exec, attach, portforward), which a GET may open.
//
// Inside the term, the remaining time of the term becomes the deadline of the request, here and by
// the `timeout` parameter at the API server, which counts from the request's arrival. So nothing is
// sent after the term, and what waits in the server's queues ends there. A renewal does not prolong
// it; a write that takes longer fails with a *SlowWriteError then. The clients of
// Cluster.Clients send writes on separate connections, which end with the term and with all that
// this machine still holds.
//
// A request that is held up on its way can be carried out late by as long as it was held up. The
// time between the end of the term and the lease's expiry is for that.
func (g *Gate) Wrap(next http.RoundTripper) http.RoundTripper {
	return &gateTransport{gate: g, next: next}
}

// connect makes the transport for writes to the API server of config, once, and returns it. The
// caller closes it. A config with a Transport has none, as the gate cannot end the connections of
// that.
func (g *Gate) connect(config *rest.Config) (*termTransport, error) {
	if config.Transport != nil {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.writes != nil {
		return g.writes, nil
	}
	writes, err := newTermTransport(config, g.remaining, g.reserve)
	if err != nil {
		return nil, err
	}
	g.writes = writes
	return writes, nil
}

// transportFor returns what a write is sent on: the transport for writes if it serves the host,
// else next.
func (g *Gate) transportFor(req *http.Request, next http.RoundTripper) http.RoundTripper {
	g.mu.Lock()
	defer g.mu.Unlock()
	connects := connectionOf(req.URL.Path) != "" || req.Header.Get("Upgrade") != ""
	if g.writes == nil || connects || !g.writes.serves(req.URL) {
		return next
	}
	return g.writes
}

// refuse counts a refused request and ends the connections that it would have used.
func (g *Gate) refuse() {
	g.metrics.CountRefused()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.writes != nil {
		g.writes.closeConnections()
	}
}

type gateTransport struct {
	gate *Gate
	next http.RoundTripper
}

func (t *gateTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if reads(req) {
		return t.next.RoundTrip(req)
	}
	remaining := t.gate.remaining()
	if remaining <= 0 {
		t.gate.refuse()
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, fmt.Errorf("refusing %s %s: %w", req.Method, req.URL.Path, ErrNotLeading)
	}
	slow := &SlowWriteError{Within: remaining}
	ctx, cancel := context.WithTimeoutCause(req.Context(), remaining, slow)
	resp, err := t.gate.transportFor(req, t.next).RoundTrip(withServerTimeout(req.WithContext(ctx), remaining))
	if err != nil {
		switch ended := context.Cause(ctx); {
		case errors.Is(err, ErrNotLeading):
		case t.gate.remaining() <= 0:
			err = fmt.Errorf("%w: %w", ErrNotLeading, err)
		case errors.Is(ended, slow) && !errors.Is(err, slow):
			err = fmt.Errorf("%w: %w", slow, err)
		}
		cancel()
		return nil, err
	}
	resp.Body = cancelOnClose(resp.Body, cancel)
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (t *gateTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// reads reports whether a request changes nothing.
func reads(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions: // The empty method is GET.
		connection := connectionOf(req.URL.Path)
		return (connection == "" || connection == proxy) && req.Header.Get("Upgrade") == ""
	default:
		return false
	}
}

// proxy is the connection that carries HTTP requests, whose methods mean what they mean elsewhere.
const proxy = "proxy"

// connectionOf returns the subresource of a path that connects the client with a pod, service or
// node; empty if none.
func connectionOf(path string) string {
	_, path, _ = strings.Cut(path, "/api/v1/") // Only core kinds have one.
	parts := strings.Split(path, "/")
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) < 3 {
		return ""
	}
	switch parts[0] + "/" + parts[2] {
	case "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy":
		return parts[2]
	default:
		return ""
	}
}

// withServerTimeout sets the `timeout` parameter that the API server bounds a mutating request by,
// unless the caller has set a shorter one. A connection has no such bound, and its parameters are
// the other end's.
func withServerTimeout(req *http.Request, remaining time.Duration) *http.Request {
	if connectionOf(req.URL.Path) != "" {
		return req
	}
	query := req.URL.Query()
	if own, err := time.ParseDuration(query.Get("timeout")); err == nil && own > 0 && own <= remaining {
		return req
	}
	query.Set("timeout", remaining.String())
	url := *req.URL
	url.RawQuery = query.Encode()
	req.URL = &url
	return req
}

// cancelOnClose frees the request's timer when its answer has been read. After a switch of
// protocols the body is the connection, which can be written to.
func cancelOnClose(body io.ReadCloser, cancel context.CancelFunc) io.ReadCloser {
	closer := cancelCloser{ReadCloser: body, cancel: cancel}
	if w, ok := body.(io.Writer); ok {
		return struct {
			io.ReadCloser
			io.Writer
		}{closer, w}
	}
	return closer
}

type cancelCloser struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c cancelCloser) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}
