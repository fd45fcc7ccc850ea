package webhook

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/hook"
)

// outcome is how a request has ended, a value of the label outcome.
type outcome string

const (
	outcomeOK          outcome = "ok"
	outcomeNotModified outcome = "notModified"
	outcomeThrottled   outcome = "throttled"   // 429
	outcomeRefused     outcome = "refused"     // another status
	outcomeServerError outcome = "serverError" // 5xx
	outcomeBadAnswer   outcome = "badAnswer"   // too large, or not to be decompressed
	outcomeTimeout     outcome = "timeout"
	outcomeConnection  outcome = "connection"
	outcomeCanceled    outcome = "canceled"
	outcomeNotSent     outcome = "notSent" // the circuit is open, the hook is busy, or there are no credentials
)

// outcomes are all that there are.
var outcomes = []outcome{
	outcomeOK, outcomeNotModified, outcomeThrottled, outcomeRefused, outcomeServerError, outcomeBadAnswer,
	outcomeTimeout, outcomeConnection, outcomeCanceled, outcomeNotSent,
}

// durations are the buckets of requests, in seconds.
var durations = []float64{.005, .025, .1, .5, 2.5, 10}

// metrics are those of the hooks of one definition.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  *prometheus.GaugeVec
	open      *openHooks
}

// newMetrics registers metrics that have all their series.
func newMetrics(registerer prometheus.Registerer, hooks []hook.Name, now func() time.Time) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kooperd_webhook_requests_total", Help: "Requests to hooks, by how they have ended.",
		}, []string{"hook", "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kooperd_webhook_request_duration_seconds", Help: "Time from a request to a hook to the end of its answer.",
			Buckets: durations,
		}, []string{"hook"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kooperd_webhook_requests_in_flight", Help: "Requests to hooks that are under way.",
		}, []string{"hook"}),
		open: &openHooks{now: now, until: map[hook.Name]time.Time{}},
	}
	for _, name := range hooks {
		m.durations.WithLabelValues(string(name))
		m.inFlight.WithLabelValues(string(name))
		m.open.set(name, time.Time{})
		for _, o := range outcomes {
			m.requests.WithLabelValues(string(name), string(o))
		}
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.durations, m.inFlight, m.open} {
		errs = append(errs, registerer.Register(c))
	}
	return m, errors.Join(slices.Clip(errs)...)
}

// begin counts a request that is sent; the returned function counts its end.
func (m *metrics) begin(name hook.Name) (end func(o outcome, took time.Duration)) {
	m.inFlight.WithLabelValues(string(name)).Inc()
	return func(o outcome, took time.Duration) {
		m.inFlight.WithLabelValues(string(name)).Dec()
		m.durations.WithLabelValues(string(name)).Observe(took.Seconds())
		m.count(name, o)
	}
}

func (m *metrics) count(name hook.Name, o outcome) {
	m.requests.WithLabelValues(string(name), string(o)).Inc()
}

// circuitOpen describes the metric of hooks that are not called.
var circuitOpen = prometheus.NewDesc("kooperd_webhook_circuit_open",
	"Whether a hook is not called for a while, because it has failed again and again.", []string{"hook"}, nil)

// openHooks collects which hooks are not called. That ends with an answer, with the work of this
// replica, and when nobody has asked for a while when somebody should have: all parents may be
// gone.
type openHooks struct {
	now func() time.Time

	mu    sync.Mutex
	until map[hook.Name]time.Time // of every hook; the zero time for one that is called
}

var _ prometheus.Collector = (*openHooks)(nil)

// extend notes that a hook is not called and that nothing is heard of it for some time: nobody
// asks, or its answer to somebody who does may take that long. A shorter time does not count.
func (h *openHooks) extend(name hook.Name, d time.Duration) {
	until := h.now().Add(d + lastPause)
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.After(h.until[name]) {
		h.until[name] = until
	}
}

// end notes that it is called as usual.
func (h *openHooks) end(name hook.Name) { h.set(name, time.Time{}) }

func (h *openHooks) set(name hook.Name, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until[name] = until
}

// Describe sends the description of the metric.
func (*openHooks) Describe(descs chan<- *prometheus.Desc) { descs <- circuitOpen }

// Collect sends 1 or 0 for each hook.
func (h *openHooks) Collect(all chan<- prometheus.Metric) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for name, until := range h.until {
		value := 0.0
		if now.Before(until) {
			value = 1
		}
		all <- prometheus.MustNewConstMetric(circuitOpen, prometheus.GaugeValue, value, string(name))
	}
}
