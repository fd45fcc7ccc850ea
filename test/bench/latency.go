package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the rows about changes.
const (
	measureP50       = "p50, due to handler entered"
	measureP99       = "p99, due to handler entered"
	measureP50Above  = "p50 above that of the bare watch"
	measureP99Above  = "p99 above that of the bare watch"
	measureP50Paired = "p50 of bare watch to handler entered, change by change"
	measureP99Paired = "p99 of bare watch to handler entered, change by change"
	measureMissing   = "changes that never came"
	measureBehind    = "API server fell behind (1) or not (0)"
)

// enough is how many changes are counted at most: a row at a high rate has them sooner.
const enough = 10000

// leastWarmUp is how long changes are sent without counting them, at least; a tenth of the time
// that counts if that is longer.
const leastWarmUp = 2 * time.Second

// tooLate is where the median of the bare watch, in milliseconds, says that changes wait for the
// API server and nothing else.
const tooLate = 1000

// latencyRow is a row of changes at a rate that come to a handler of each definition. The column of
// client-go is the bare watch beside kooperd.
func latencyRow(f fixture, perSecond, definitions int) row {
	o := order.Order{Kinds: []order.Kind{pods}, Definitions: definitions, Objects: f.objects, View: order.Typed, Work: order.Stamp}
	return row{
		name:    fmt.Sprintf("latency-%d-%d", perSecond, definitions),
		title:   fmt.Sprintf("change to handler, %d per second, %s", perSecond, count(definitions, "definition")),
		fixture: f, measured: []program{kooperd, manager},
		measures: []measure{
			{name: measureP50, unit: milliseconds}, {name: measureP99, unit: milliseconds},
			{name: measureP50Above, unit: milliseconds, difference: true, targets: []target{{factor: 0.2}}},
			{name: measureP99Above, unit: milliseconds, difference: true, targets: []target{{factor: 2}}},
			{name: measureP50Paired, unit: milliseconds, difference: true}, {name: measureP99Paired, unit: milliseconds, difference: true},
			{name: measureMissing}, {name: measureBehind},
		},
		once: func(ctx context.Context, s *scene, p program) (readings, error) {
			counted := min(s.latency, enough*time.Second/time.Duration(perSecond))
			var sent []sentChange
			own, bare, err := s.beside(ctx, p, o, func(ctx context.Context, _ *process) (err error) {
				sent, err = s.change(ctx, perSecond, max(leastWarmUp, counted/10), counted)
				return err
			})
			if err != nil {
				return nil, err
			}
			return latencyReadings(p, pair(sent, own, bare, definitions))
		},
	}
}

// latencyReadings compares what came to a program with what came to the watch beside it.
func latencyReadings(p program, a arrivals) (readings, error) {
	floor := slices.Sorted(slices.Values(a.seen))
	if quantile(floor, 0.5) > tooLate {
		return readings{p: {measureBehind: 1}}, nil
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	own := a.sorted(func(c arrival) float64 { return float64(c.entered-c.due) / 1e6 })
	paired := a.sorted(func(c arrival) float64 { return float64(c.entered-c.seen) / 1e6 })
	got := readings{p: {
		measureP50: quantile(own, 0.5), measureP50Above: quantile(own, 0.5) - quantile(floor, 0.5), measureP50Paired: quantile(paired, 0.5),
		measureP99: quantile(own, 0.99), measureP99Above: quantile(own, 0.99) - quantile(floor, 0.99), measureP99Paired: quantile(paired, 0.99),
		measureMissing: float64(a.missing), measureBehind: 0,
	}}
	if p == kooperd {
		got[informer] = map[string]float64{measureP50: quantile(floor, 0.5), measureP99: quantile(floor, 0.99)}
	}
	return got, nil
}

// quantile returns the smallest of the sorted values that a share q of all does not exceed, and 0
// for none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
