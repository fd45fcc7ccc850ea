package telemetry

import (
	"context"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/metrics"
)

// clientGo are client-go's measurements of its requests, under the names that every Kubernetes
// component uses.
type clientGo struct {
	results   *prometheus.CounterVec
	durations *prometheus.HistogramVec
	retries   *prometheus.CounterVec
}

// CollectClientGo makes client-go report its requests to m. client-go keeps one such receiver in
// the whole process, and the first one wins, so it is for the daemon to call, once.
func (m *Metrics) CollectClientGo() {
	c := clientGo{
		results: counter("rest_client_requests_total", "Requests to the API server.", "code", "method", "host"),
		durations: histogram("rest_client_request_duration_seconds", "Duration of requests to the API server.",
			prometheus.DefBuckets, "verb", "host"),
		retries: counter("rest_client_request_retries_total", "Retries of requests to the API server.", "code", "verb", "host"),
	}
	m.registry.MustRegister(c.results, c.durations, c.retries)
	metrics.Register(metrics.RegisterOpts{
		RequestResult:  clientGoResult{c.results},
		RequestLatency: clientGoLatency{c.durations},
		RequestRetry:   clientGoRetry{c.retries},
	})
}

type clientGoResult struct{ counter *prometheus.CounterVec }

func (r clientGoResult) Increment(_ context.Context, code, method, host string) {
	r.counter.WithLabelValues(code, method, host).Inc()
}

type clientGoLatency struct{ histogram *prometheus.HistogramVec }

// Observe leaves the path out: object names would make a series each.
func (l clientGoLatency) Observe(_ context.Context, verb string, u url.URL, latency time.Duration) {
	l.histogram.WithLabelValues(verb, u.Host).Observe(latency.Seconds())
}

type clientGoRetry struct{ counter *prometheus.CounterVec }

func (r clientGoRetry) IncrementRetry(_ context.Context, code, method, host string) {
	r.counter.WithLabelValues(code, method, host).Inc()
}
