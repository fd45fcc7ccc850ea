package kube

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// Options of New. The zero value works, silently.
type Options struct {
	// Logger gets what happens to the sources. Default: nothing is logged.
	Logger logr.Logger
	// Metrics are kept up to date. Default: metrics that are not served.
	Metrics *telemetry.Metrics
}

// Cluster is one API server with everything that kooperd does there. It is safe for concurrent use.
type Cluster struct {
	// Sources are the shared caches.
	Sources *Sources

	config   *rest.Config
	http     *http.Client    // of the sources
	mapper   meta.RESTMapper // of the handlers
	kinds    *kinds.Discovery
	answered *atomic.Bool // a request of the sources was ever answered

	mu     sync.Mutex
	writes map[*termTransport]struct{} // of the gates
}

// New makes the clients of one API server; it contacts nothing. config is copied. The client-side
// rate limit is off: the API server's priority and fairness rules.
func New(config *rest.Config, opts Options) (*Cluster, error) {
	config = unlimited(config)
	watching := rest.CopyConfig(config)
	watching.Timeout = 0 // It would end every watch.
	answered := new(atomic.Bool)
	watching.Wrap(func(next http.RoundTripper) http.RoundTripper { return finalErrors{next: next, answered: answered} })
	client, err := rest.HTTPClientFor(watching)
	if err != nil {
		return nil, fmt.Errorf("making the API server's HTTP client: %w", err)
	}
	discovering, err := discovery.NewDiscoveryClientForConfigAndClient(watching, client)
	if err != nil {
		return nil, fmt.Errorf("making the discovery client: %w", err)
	}
	mapping, err := discovery.NewDiscoveryClientForConfig(config) // With a timeout, as its callers have no context.
	if err != nil {
		return nil, fmt.Errorf("making the mapper's discovery client: %w", err)
	}
	found := kinds.NewDiscovery(discovering)
	return &Cluster{
		kinds:    found,
		Sources:  newSources(watching, client, found, opts),
		config:   config,
		http:     client,
		answered: answered,
		mapper:   newMapper(mapping),
		writes:   map[*termTransport]struct{}{},
	}, nil
}

// Clients returns the clients of one definition's handler. name becomes part of the user agent, by
// which audit logs and rules of priority and fairness distinguish definitions. A nil gate lets
// every request through. store notes the writes and may be nil; calls do too, see WithCall.
func (c *Cluster) Clients(name string, gate *Gate, store *ConsistencyStore) (handlers.Clients, error) {
	config := rest.CopyConfig(c.config)
	config.UserAgent = c.config.UserAgent + " " + name
	if gate != nil {
		if err := c.connect(gate); err != nil {
			return handlers.Clients{}, fmt.Errorf("making the client of %s: %w", name, err)
		}
		config.Wrap(gate.Wrap)
	}
	if store != nil {
		config.Wrap(store.Wrap)
	}
	config.Wrap(wrapCalls)
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return handlers.Clients{}, fmt.Errorf("making the client of %s: %w", name, err)
	}
	return handlers.Clients{REST: config, Dynamic: dyn, Mapper: c.mapper}, nil
}

// Answered reports whether the API server has ever let this client in: a source has asked it
// something, and the answer was not that it does not know who is asking.
func (c *Cluster) Answered() bool { return c.answered.Load() }

// Kinds finds the resources of kinds, as the API server serves them at present.
func (c *Cluster) Kinds() *kinds.Discovery { return c.kinds }

// AccessReviews is the client for questions about the rights of this client.
func (c *Cluster) AccessReviews() (authorizationclient.SelfSubjectAccessReviewInterface, error) {
	client, err := authorizationclient.NewForConfigAndClient(c.config, c.http)
	if err != nil {
		return nil, fmt.Errorf("making the client for access reviews: %w", err)
	}
	return client.SelfSubjectAccessReviews(), nil
}

// Namespaces is the client for questions about namespaces.
func (c *Cluster) Namespaces() (corev1client.NamespaceInterface, error) {
	client, err := corev1client.NewForConfigAndClient(c.config, c.http)
	if err != nil {
		return nil, fmt.Errorf("making the client for namespaces: %w", err)
	}
	return client.Namespaces(), nil
}

// connect gives the gate a transport for writes.
func (c *Cluster) connect(gate *Gate) error {
	writes, err := gate.connect(c.config)
	if err != nil || writes == nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes[writes] = struct{}{}
	return nil
}

// Close ends the connections of the gates and frees idle ones, which the clients of handlers share
// for reading unless a proxy is configured. The views have to be closed before. A connection whose
// request is just being given up closes by itself after 90 s. No write through a gate is possible
// afterwards.
func (c *Cluster) Close() {
	c.mu.Lock()
	for writes := range c.writes {
		writes.close()
	}
	c.mu.Unlock()
	c.kinds.Close()
	utilnet.CloseIdleConnectionsFor(c.http.Transport)
}

// ClientConfig returns a copy of config whose clients use a client certificate or token from files
// as soon as it has been renewed, and name the proxy in their errors. New does that itself; it is
// for other clients.
func ClientConfig(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	reloadCertificates(config)
	if file := newTokenFile(config); file != nil {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &tokenTransport{file: file, next: next} })
	}
	proxy := proxyOf(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &proxyTransport{proxy: proxy, next: next} })
	return config
}

func unlimited(config *rest.Config) *rest.Config {
	config = ClientConfig(config)
	config.QPS = -1
	config.Burst = 0
	config.RateLimiter = nil
	if config.UserAgent == "" {
		config.UserAgent = "kooperd"
	}
	return config
}

// finalErrors keeps client-go from sending a request ten times more whose connection has failed.
// That takes from ten seconds to minutes, at the end of which a watch is no error but empty. The
// sources retry themselves and have to know.
type finalErrors struct {
	next     http.RoundTripper
	answered *atomic.Bool // set by the first answer
}

func (t finalErrors) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	switch {
	case err == nil && resp.StatusCode != http.StatusUnauthorized && resp.StatusCode < http.StatusInternalServerError:
		t.answered.Store(true)
	case err != nil && req.Context().Err() == nil && !isCertificateError(err):
		err = connectionError{err}
	}
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (t finalErrors) WrappedRoundTripper() http.RoundTripper { return t.next }

// connectionError hides an error from client-go, which knows those it tries again by type and by
// text. People can still read what it says.
type connectionError struct{ hidden error }

func (e connectionError) Error() string { return reworded.Replace(describeTransport(e.hidden)) }

// reworded has other words for the texts by which client-go knows an error (apimachinery,
// util/net.IsProbableEOF and IsHTTP2ConnectionLost).
var reworded = strings.NewReplacer(
	"http: can't write HTTP request on broken connection", "the connection is broken",
	"http2: server sent GOAWAY and closed the connection", "the server has closed the HTTP/2 connection",
	"http2: client connection lost", "the HTTP/2 connection is lost",
	"connection reset by peer", "connection reset",
	"use of closed network connection", "the connection is closed",
)

// revealed returns the error that a connectionError hides; any other as it is.
func revealed(err error) error {
	if failed, ok := errors.AsType[connectionError](err); ok {
		return failed.hidden
	}
	return err
}
