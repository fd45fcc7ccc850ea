package telemetry

import "github.com/prometheus/client_golang/prometheus"

// requestMetrics are those of requests and connections that are refused: by the gate, and by the
// servers of this process.
type requestMetrics struct {
	gateRefused prometheus.Counter
	httpRefused *prometheus.CounterVec
	httpClosed  *prometheus.CounterVec
}

func newRequestMetrics(registry *prometheus.Registry) requestMetrics {
	r := requestMetrics{
		gateRefused: registered(registry, prometheus.NewCounter(prometheus.CounterOpts{Name: "kooperd_gate_refused_requests_total",
			Help: "Requests of handlers refused because this replica does not lead."})),
		httpRefused: registered(registry, counter("kooperd_http_refused_requests_total",
			"Requests for metrics or profiles refused because of who sent them, or because the API server could not be asked.", "reason")),
		httpClosed: registered(registry, counter("kooperd_http_closed_connections_total",
			"Connections of a server closed because there were too many.", "server")),
	}
	for _, reason := range []string{"unauthenticated", "forbidden", "undecided"} { // the reasons of package server
		r.httpRefused.WithLabelValues(reason)
	}
	for _, server := range []string{"metrics", "health"} {
		r.httpClosed.WithLabelValues(server)
	}
	return r
}

// CountRefused counts a request that the gate refused.
func (r requestMetrics) CountRefused() { r.gateRefused.Inc() }

// CountHTTPRefused counts a request for metrics or profiles that was refused: reason is
// unauthenticated, forbidden, or undecided when the API server could not be asked.
func (r requestMetrics) CountHTTPRefused(reason string) { r.httpRefused.WithLabelValues(reason).Inc() }

// CountHTTPClosed counts a connection that was closed because there were too many: server is
// metrics or health.
func (r requestMetrics) CountHTTPClosed(server string) { r.httpClosed.WithLabelValues(server).Inc() }
