package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Metrics are all metrics of kooperd but those of the Go runtime, the process and client-go. The
// four of Kooper keep its names and labels, so its dashboards work, and the workqueue ones have
// client-go's names. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	// Each subject registers its metrics and has the methods that record them.
	*definitions
	*sourceVectors
	electionMetrics
	requestMetrics
	processMetrics
	reloadMetrics
}

// NewMetrics registers every metric with registry. It panics when one is registered already: one
// Metrics a registry.
func NewMetrics(registry *prometheus.Registry) *Metrics {
	return &Metrics{
		registry:        registry,
		definitions:     newDefinitions(registry),
		sourceVectors:   newSourceVectors(registry),
		electionMetrics: newElectionMetrics(registry),
		requestMetrics:  newRequestMetrics(registry),
		processMetrics:  newProcessMetrics(registry),
		reloadMetrics:   newReloadMetrics(registry),
	}
}

// Registry returns the registry that everything is registered with.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }
