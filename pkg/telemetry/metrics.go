package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/status"
)

// Metrics are all metrics of kooperd but those of the Go runtime, the process and client-go. The
// four of Kooper keep its names and labels, so its dashboards work, and the workqueue ones have
// client-go's names. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	mu          sync.Mutex
	controllers map[string]*Controller // those not removed, by the definition's name

	// Kooper's four.
	queuedEvents *prometheus.CounterVec
	inQueue      *prometheus.HistogramVec
	processed    *prometheus.HistogramVec
	queueLength  *prometheus.GaugeVec

	// client-go's workqueue.
	workqueueAdds  *prometheus.CounterVec
	workqueueRetry *prometheus.CounterVec
	workqueueDepth *prometheus.GaugeVec
	workqueueWait  *prometheus.HistogramVec
	workqueueWork  *prometheus.HistogramVec

	busy       *prometheus.GaugeVec
	workers    *prometheus.GaugeVec
	retries    *prometheus.CounterVec
	panics     *prometheus.CounterVec
	terminal   *prometheus.CounterVec
	timeouts   *prometheus.CounterVec
	skipped    *prometheus.CounterVec
	exhausted  *prometheus.GaugeVec
	failing    *prometheus.GaugeVec
	state      *prometheus.GaugeVec
	cached     *prometheus.GaugeVec
	source     *prometheus.GaugeVec
	restarts   *prometheus.CounterVec
	lists      *prometheus.CounterVec
	terms      *prometheus.CounterVec
	renewals   *prometheus.HistogramVec
	refused    prometheus.Counter
	httpDenied *prometheus.CounterVec
	httpClosed *prometheus.CounterVec
	configInfo *prometheus.GaugeVec
	buildInfo  *prometheus.GaugeVec

	triggerErrors *prometheus.CounterVec
	undecided     *prometheus.GaugeVec
}

// The buckets are few, as a definition has a series for each. Kooper's histograms are native ones,
// too, exact to 10 %.
var (
	// queueDurations and callDurations are some of Kooper's buckets, and further ones for long
	// calls.
	queueDurations = []float64{.01, .1, .5, 1, 3, 10, 60, 300}
	callDurations  = []float64{.01, .05, .25, 1, 5, 10, 60, 300}
	// workqueueDurations are of client-go's powers of ten those that a queue of calls can come to.
	workqueueDurations = []float64{.001, .01, .1, 1, 10, 100}
)

// NewMetrics registers every metric with registry. It panics when one is registered already: one
// Metrics a registry.
func NewMetrics(registry *prometheus.Registry) *Metrics {
	m := &Metrics{registry: registry, controllers: map[string]*Controller{}}
	m.declareWork()
	m.declareSources()
	m.declareElection()
	m.declareServing()
	registry.MustRegister(
		m.queuedEvents, m.inQueue, m.processed, m.queueLength, m.workqueueAdds, m.workqueueRetry,
		m.workqueueDepth, m.workqueueWait, m.workqueueWork,
		m.busy, m.workers, m.retries, m.panics, m.terminal, m.timeouts, m.skipped, m.triggerErrors,
		m.undecided, m.exhausted, m.failing, m.state, controllerCollector{m},
		m.cached, m.source, m.restarts, m.lists,
		m.terms, m.renewals, m.refused, m.httpDenied, m.httpClosed, m.configInfo, m.buildInfo,
	)
	return m
}

// Registry returns the registry that everything is registered with.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

func (m *Metrics) declareWork() {
	const label = "controller"
	m.queuedEvents = counter("kooper_controller_queued_events_total",
		"Events put into the queue; requeue is true for retries and requested requeues.", label, "requeue")
	m.inQueue = nativeHistogram("kooper_controller_event_in_queue_duration_seconds",
		"Time an event waited in the queue until a worker took it.", queueDurations, label)
	m.processed = nativeHistogram("kooper_controller_processed_event_duration_seconds",
		"Duration of handler calls; every failed attempt counts as success=false, whether it is retried or not.",
		callDurations, label, "success")
	m.queueLength = gauge("kooper_controller_event_queue_length", "Events ready in the queue.", label)
	m.workqueueAdds = counter("workqueue_adds_total", "Adds handled by the work queue.", "name")
	m.workqueueRetry = counter("workqueue_retries_total", "Retries handled by the work queue.", "name")
	m.workqueueDepth = gauge("workqueue_depth", "Keys ready in the work queue.", "name")
	m.workqueueWait = histogram("workqueue_queue_duration_seconds", "Time a key stayed in the work queue.",
		workqueueDurations, "name")
	m.workqueueWork = histogram("workqueue_work_duration_seconds", "Time it took to process a key.",
		workqueueDurations, "name")
	m.busy = gauge("kooperd_controller_busy_workers", "Workers inside a handler call.", label)
	m.workers = gauge("kooperd_controller_workers", "Workers running on this replica; 0 on a standby.", label)
	m.retries = counter("kooperd_controller_retries_total", "Calls made again after a failed one; a call for a change of the object is none.", label)
	m.panics = counter("kooperd_controller_panics_total", "Panics recovered from handler calls.", label)
	m.terminal = counter("kooperd_controller_terminal_errors_total", "Calls that failed with an error a retry cannot mend.", label)
	m.timeouts = counter("kooperd_controller_timeouts_total", "Calls that failed because of a deadline.", label)
	m.skipped = counter("kooperd_controller_skipped_events_total",
		"Events that do not call the handler, because of the definition's ignore or where.", label, "reason")
	m.triggerErrors = counter("kooperd_controller_trigger_errors_total",
		"Evaluations of the definition's where that failed; the handler is called all the same.", label)
	m.undecided = gauge("kooperd_controller_undecided_objects",
		"Objects that wait for the definition's ignore and where to decide whether the handler is called.", label)
	m.exhausted = gauge("kooperd_controller_objects_out_of_retries",
		"Objects given up after their last retry, until they change or are resynced.", label)
	m.failing = gauge("kooperd_controller_failing_objects", "Objects whose last call failed.", label)
	m.state = gauge("kooperd_controller_state", "1 for the state the definition is in, 0 for the others.", label, "state")
}

func (m *Metrics) declareSources() {
	labels := []string{"kind", "api_version", "namespace", "selector", "content"}
	m.cached = gauge("kooperd_source_cached_objects", "Objects in the cache of a source.", labels...)
	m.source = gauge("kooperd_source_state", "1 for the state the source is in, 0 for the others.", append(labels, "state")...)
	m.restarts = counter("kooperd_source_watch_restarts_total", "Watches opened after the first one of a source.", labels...)
	m.lists = counter("kooperd_source_lists_total", "Complete lists of a source, the first one included.", labels...)
}

func (m *Metrics) declareElection() {
	m.terms = counter("kooperd_leader_transitions_total", "Changes of this replica's leadership.", "to")
	m.renewals = histogram("kooperd_lease_request_duration_seconds", "Duration of requests that renew the lease.",
		prometheus.DefBuckets, "result")
	m.refused = prometheus.NewCounter(prometheus.CounterOpts{Name: "kooperd_gate_refused_requests_total",
		Help: "Requests of handlers refused because this replica does not lead."})
	m.configInfo = gauge("kooperd_config_info", "Always 1; the label is the hash of the config in use.", "hash")
	m.buildInfo = gauge("kooperd_build_info", "Always 1; the labels describe the build.", "version", "go_version")
	for _, to := range []string{"standby", "leading", "draining", "released", "lost"} { // the states of package election
		m.terms.WithLabelValues(to)
	}
	for _, result := range []string{"success", "error"} {
		m.renewals.WithLabelValues(result)
	}
}

func (m *Metrics) declareServing() {
	m.httpDenied = counter("kooperd_http_refused_requests_total",
		"Requests for metrics or profiles refused because of who sent them, or because the API server could not be asked.", "reason")
	m.httpClosed = counter("kooperd_http_closed_connections_total",
		"Connections of a server closed because there were too many.", "server")
	for _, reason := range []string{"unauthenticated", "forbidden", "undecided"} { // the reasons of package server
		m.httpDenied.WithLabelValues(reason)
	}
	for _, server := range []string{"metrics", "health"} {
		m.httpClosed.WithLabelValues(server)
	}
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// nativeHistogram is a histogram that is a native one for a Prometheus that asks for those.
func nativeHistogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

// SetState records the state that a definition is in. It sets the new state first: a scrape in
// between finds the definition in two states rather than in none.
func (m *Metrics) SetState(definition string, state status.State) {
	m.state.WithLabelValues(definition, string(state)).Set(1)
	for _, s := range status.States() {
		if s != state {
			m.state.WithLabelValues(definition, string(s)).Set(0)
		}
	}
}

// SetConfig records the hash of the config in use.
func (m *Metrics) SetConfig(hash string) {
	m.configInfo.Reset()
	m.configInfo.WithLabelValues(hash).Set(1)
}

// SetBuild records what was built.
func (m *Metrics) SetBuild(version, goVersion string) {
	m.buildInfo.WithLabelValues(version, goVersion).Set(1)
}

// CountTransition counts a change of leadership: to is standby, leading, draining, released or
// lost.
func (m *Metrics) CountTransition(to string) { m.terms.WithLabelValues(to).Inc() }

// ObserveRenewal records one request that renews the lease.
func (m *Metrics) ObserveRenewal(d time.Duration, err error) {
	result := "success"
	if err != nil {
		result = "error"
	}
	m.renewals.WithLabelValues(result).Observe(d.Seconds())
}

// ObserveLeadership makes /metrics show whether this replica leads, and for how much longer it may
// rely on that. Both are asked at every scrape, as a recorded state might be out of date just when
// it matters. lease is the name of the lease; it is empty, and remaining nil, without leader
// election. It is for the daemon to call, once.
func (m *Metrics) ObserveLeadership(lease string, leading func() bool, remaining func() time.Duration) {
	leads := func() float64 { return oneIf(leading()) }
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kooperd_leader",
		Help: "1 while this replica leads, or runs without leader election."}, leads))
	if lease == "" {
		return
	}
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "leader_election_master_status",
			ConstLabels: prometheus.Labels{"name": lease}, Help: "1 while this replica holds the lease of that name."}, leads),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kooperd_lease_remaining_seconds",
			Help: "How much longer this replica may rely on its leadership without another renewal; 0 on a standby."},
			func() float64 { return remaining().Seconds() }),
	)
}

// ObserveLeaseWatch makes /metrics show for how long altogether this replica has been without a
// watch on the lease. It is for the daemon to call, once, with leader election.
func (m *Metrics) ObserveLeaseWatch(unwatched func() time.Duration) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "kooperd_lease_unwatched_seconds_total",
		Help: "Time without a watch on the lease, in which a change of it is noticed later: by the next renewal or poll."},
		func() float64 { return unwatched().Seconds() }))
}

// ObserveLog makes /metrics show how many lines of the log have been dropped. It is for the daemon
// to call, once.
func (m *Metrics) ObserveLog(dropped func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "kooperd_log_dropped_lines_total",
		Help: "Lines of the log dropped because it could not be written."}, func() float64 { return float64(dropped()) }))
}

// CountRefused counts a request that the gate refused.
func (m *Metrics) CountRefused() { m.refused.Inc() }

// CountHTTPRefused counts a request for metrics or profiles that was refused: reason is
// unauthenticated, forbidden, or undecided when the API server could not be asked.
func (m *Metrics) CountHTTPRefused(reason string) { m.httpDenied.WithLabelValues(reason).Inc() }

// CountHTTPClosed counts a connection that was closed because there were too many: server is
// metrics or health.
func (m *Metrics) CountHTTPClosed(server string) { m.httpClosed.WithLabelValues(server).Inc() }

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
