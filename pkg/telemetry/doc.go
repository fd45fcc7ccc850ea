// Package telemetry holds what the operator of a kooperd sees of it: the names of its metrics, the construction of its
// logger, and the state of every definition with its reason.
//
// It decides nothing: it is told by the other packages and keeps what it is told for /metrics, /readyz and the log. It
// starts no goroutine.
//
//	metrics := telemetry.NewMetrics(prometheus.NewRegistry())
package telemetry
