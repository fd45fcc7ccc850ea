package kube

import (
	"fmt"
	"net/http"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// Options of New. The zero value works, silently.
type Options struct {
	// Logger is told of sources' troubles. Default: nothing is logged.
	Logger logr.Logger
	// Metrics are kept up to date. Default: metrics that nobody reads.
	Metrics *telemetry.Metrics
}

// Cluster is one API server with everything that kooperd does there. It is safe for concurrent use.
type Cluster struct {
	// Sources are the shared caches.
	Sources *Sources

	config *rest.Config
	http   *http.Client // of the sources
	mapper meta.RESTMapper
}

// New makes the clients of one API server; it contacts nothing. config is copied. The client-side rate limit is off:
// the API server's priority and fairness rules.
func New(config *rest.Config, opts Options) (*Cluster, error) {
	config = unlimited(config)
	watching := rest.CopyConfig(config)
	watching.Timeout = 0 // It would end every watch.
	watching.Wrap(func(next http.RoundTripper) http.RoundTripper { return finalTimeouts{next} })
	client, err := rest.HTTPClientFor(watching)
	if err != nil {
		return nil, fmt.Errorf("making the API server's HTTP client: %w", err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfigAndClient(watching, client)
	if err != nil {
		return nil, fmt.Errorf("making the discovery client: %w", err)
	}
	mapping, err := discovery.NewDiscoveryClientForConfig(config) // With a timeout, as its callers have no context.
	if err != nil {
		return nil, fmt.Errorf("making the mapper's discovery client: %w", err)
	}
	return &Cluster{
		Sources: newSources(watching, client, kinds, opts),
		config:  config,
		http:    client,
		mapper:  restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(mapping)),
	}, nil
}

// Clients returns the clients of one definition's handler. name becomes part of the user agent, so that audit logs and
// priority-and-fairness rules can tell definitions apart. A nil gate lets every request through.
func (c *Cluster) Clients(name string, gate *Gate) (handlers.Clients, error) {
	config := rest.CopyConfig(c.config)
	config.UserAgent = c.config.UserAgent + " " + name
	if gate != nil {
		config.Wrap(gate.Wrap)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return handlers.Clients{}, fmt.Errorf("making the client of %s: %w", name, err)
	}
	return handlers.Clients{REST: config, Dynamic: dyn, Mapper: c.mapper}, nil
}

// Close frees idle connections, which the clients of handlers share unless a proxy is configured. The sources have to be
// closed before.
func (c *Cluster) Close() { utilnet.CloseIdleConnectionsFor(c.http.Transport) }

func unlimited(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.Burst = 0
	config.RateLimiter = nil
	if config.UserAgent == "" {
		config.UserAgent = "kooperd"
	}
	return config
}

// finalTimeouts keeps client-go from sending a request that has timed out another ten times, which takes minutes during
// which the source has no error to report. The sources do their own retries.
type finalTimeouts struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t finalTimeouts) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil && utilnet.IsTimeout(err) {
		err = timeoutError{err}
	}
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (t finalTimeouts) WrappedRoundTripper() http.RoundTripper { return t.next }

// timeoutError is a timeout without the method by which it would be known as one.
type timeoutError struct{ err error }

func (e timeoutError) Error() string { return e.err.Error() }
func (e timeoutError) Unwrap() error { return e.err }
