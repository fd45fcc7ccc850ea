package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// electionMetrics are those of the lease, and of the leadership of this replica.
type electionMetrics struct {
	registry *prometheus.Registry
	terms    *prometheus.CounterVec
	renewals *prometheus.HistogramVec
}

func newElectionMetrics(registry *prometheus.Registry) electionMetrics {
	e := electionMetrics{
		registry: registry,
		terms:    registered(registry, counter("kooperd_leader_transitions_total", "Changes of this replica's leadership.", "to")),
		renewals: registered(registry, histogram("kooperd_lease_request_duration_seconds",
			"Duration of requests that renew the lease.", prometheus.DefBuckets, "result")),
	}
	for _, to := range []string{"standby", "leading", "draining", "released", "lost"} { // the states of package election
		e.terms.WithLabelValues(to)
	}
	for _, result := range []string{"success", "error"} {
		e.renewals.WithLabelValues(result)
	}
	return e
}

// CountTransition counts a change of leadership: to is standby, leading, draining, released or
// lost.
func (e electionMetrics) CountTransition(to string) { e.terms.WithLabelValues(to).Inc() }

// ObserveRenewal records one request that renews the lease.
func (e electionMetrics) ObserveRenewal(d time.Duration, err error) {
	result := "success"
	if err != nil {
		result = "error"
	}
	e.renewals.WithLabelValues(result).Observe(d.Seconds())
}

// ObserveLeadership makes /metrics show whether this replica leads, and for how much longer it may
// rely on that. Both are asked at every scrape, as a recorded state might be out of date just when
// it matters. lease is the name of the lease; it is empty, and remaining nil, without leader
// election. It is for the daemon to call, once.
func (e electionMetrics) ObserveLeadership(lease string, leading func() bool, remaining func() time.Duration) {
	leads := func() float64 { return oneIf(leading()) }
	e.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kooperd_leader",
		Help: "1 while this replica leads, or runs without leader election."}, leads))
	if lease == "" {
		return
	}
	e.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "leader_election_master_status",
			ConstLabels: prometheus.Labels{"name": lease}, Help: "1 while this replica holds the lease of that name."}, leads),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kooperd_lease_remaining_seconds",
			Help: "How much longer this replica may rely on its leadership without another renewal; 0 on a standby."},
			func() float64 { return remaining().Seconds() }),
	)
}

// ObserveLeaseWanted makes /metrics show whether this replica leads, or its config needs a leader.
// It is for the daemon to call, once, with leader election.
func (e electionMetrics) ObserveLeaseWanted(wanted func() bool) {
	e.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kooperd_lease_wanted",
		Help: "1 while this replica leads, has a definition for the leader that is not paused, " +
			"or reads its config from a ConfigMap through the API server; else 0."},
		func() float64 { return oneIf(wanted()) }))
}

// ObserveLeaseWatch makes /metrics show for how long altogether this replica has been without a
// watch on the lease. It is for the daemon to call, once, with leader election.
func (e electionMetrics) ObserveLeaseWatch(unwatched func() time.Duration) {
	e.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "kooperd_lease_unwatched_seconds_total",
		Help: "Time without a watch on the lease, in which a change of it is noticed later: by the next renewal or poll."},
		func() float64 { return unwatched().Seconds() }))
}
