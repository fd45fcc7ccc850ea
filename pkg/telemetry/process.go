package telemetry

import "github.com/prometheus/client_golang/prometheus"

// processMetrics are those of the process: its build, its config, and its log.
type processMetrics struct {
	registry *prometheus.Registry
	config   *prometheus.GaugeVec
	build    *prometheus.GaugeVec
}

func newProcessMetrics(registry *prometheus.Registry) processMetrics {
	return processMetrics{
		registry: registry,
		config: registered(registry, gauge("kooperd_config_info",
			"Always 1; the label is the hash of the config in use.", "hash")),
		build: registered(registry, gauge("kooperd_build_info",
			"Always 1; the labels describe the build.", "version", "go_version")),
	}
}

// SetConfig records the hash of the config in use.
func (p processMetrics) SetConfig(hash string) {
	p.config.Reset()
	p.config.WithLabelValues(hash).Set(1)
}

// SetBuild records what was built.
func (p processMetrics) SetBuild(version, goVersion string) {
	p.build.WithLabelValues(version, goVersion).Set(1)
}

// ObserveLog makes /metrics show how many lines of the log have been dropped. It is for the daemon
// to call, once.
func (p processMetrics) ObserveLog(dropped func() uint64) {
	p.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "kooperd_log_dropped_lines_total",
		Help: "Lines of the log dropped because it could not be written."}, func() float64 { return float64(dropped()) }))
}
