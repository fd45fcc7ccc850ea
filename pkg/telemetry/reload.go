package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloadMetrics are those of reading the config again.
type reloadMetrics struct {
	registry *prometheus.Registry
	reloads  *prometheus.CounterVec
	last     prometheus.Gauge // 1 or 0
	at, took prometheus.Gauge // of the last one that was accepted, and of the last one
}

func newReloadMetrics(registry *prometheus.Registry) reloadMetrics {
	one := func(name, help string) prometheus.Gauge {
		return registered(registry, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	m := reloadMetrics{
		registry: registry,
		reloads: registered(registry, counter("kooperd_config_reloads_total",
			"Changed configs that were read, the first one included; refused ones have a mistake, failed ones are tried again, and each try counts.",
			"result")),
		last: one("kooperd_config_last_reload_successful", "1 if the config that was read last runs, 0 if an earlier one does."),
		at: one("kooperd_config_last_reload_success_timestamp_seconds",
			"When the config that was accepted last was accepted, in seconds since 1970."),
		took: one("kooperd_config_last_reload_duration_seconds",
			"How long it took to evaluate, check and apply the changed config that was read last."),
	}
	for _, result := range []string{"accepted", "refused", "failed"} { // the results of package reload
		m.reloads.WithLabelValues(result)
	}
	return m
}

// ObserveReload records that a changed config was read, or tried again: result is accepted, refused
// or failed, and took how long evaluating, checking and applying it took.
func (m reloadMetrics) ObserveReload(result string, took time.Duration) {
	m.reloads.WithLabelValues(result).Inc()
	m.took.Set(took.Seconds())
	m.last.Set(oneIf(result == "accepted"))
	if result == "accepted" {
		m.at.SetToCurrentTime()
	}
}

// ObserveUnchanged records that a config was read again about which was decided before, and whether
// it runs.
func (m reloadMetrics) ObserveUnchanged(runs bool) { m.last.Set(oneIf(runs)) }

// ObservePending makes /metrics show how many changed definitions wait for what they need. It is
// for the daemon to call, once.
func (m reloadMetrics) ObservePending(pending func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kooperd_config_pending_definitions",
		Help: "Changed definitions that go on as before because what the change needs is not there."},
		func() float64 { return float64(pending()) }))
}
