// Package telemetry holds what the operator of kooperd sees of it: the names of its metrics and the
// construction of its logger. States of definitions are in package status.
//
// It decides nothing: other packages record with it what /metrics and the log show. It starts no
// goroutine.
//
//	metrics := telemetry.NewMetrics(prometheus.NewRegistry())
package telemetry
