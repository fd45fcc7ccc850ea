package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the row about the history of calls.
const (
	measureEachCall  = "CPU per handled object"
	measureFirst     = "CPU per object of the first calls, with the start"
	measureLater     = "CPU per object of the calls for changes"
	measureMore      = "RSS after, more than without history"
	historyTolerance = 1.03
)

// remembering are the programs of the row about the history of calls.
var remembering = []program{kooperd, forgetful}

// historyRow is a row in which every object is handled twice, at the start and after a change, by a
// handler that does nothing: with the history of calls, which is on by default, and without it.
func historyRow(f fixture) row {
	o := order.Order{Kinds: []order.Kind{pods}, Definitions: 1, Objects: f.objects, View: order.Typed, Work: order.Nothing}
	rep := 0
	return row{
		name: "history", title: fmt.Sprintf("%d pods handled, changed, and handled again", f.objects),
		fixture: f, measured: remembering, columns: remembering,
		measures: []measure{
			{name: measureEachCall, unit: microseconds, targets: []target{{of: forgetful, factor: historyTolerance}}},
			{name: measureFirst, unit: microseconds}, {name: measureLater, unit: microseconds},
			{name: measureRSS, unit: megabytes}, {name: measurePeak, unit: megabytes},
			{name: measureMore, unit: megabytes, difference: true, targets: []target{{factor: 10}}},
		},
		together: func(ctx context.Context, s *scene) (readings, error) {
			got := readings{}
			for _, p := range turn(remembering, rep) { // One after the other: they would share the processors.
				numbers, err := s.handleTwice(ctx, p, o)
				if err != nil {
					return nil, fmt.Errorf("running %s: %w", p, err)
				}
				got[p] = numbers
			}
			rep++
			got[kooperd][measureMore] = got[kooperd][measureRSS] - got[forgetful][measureRSS]
			return got, nil
		},
	}
}

// handleTwice runs a program until it has handled every object at the start and after a change.
func (s *scene) handleTwice(ctx context.Context, p program, o order.Order) (map[string]float64, error) {
	proc, err := s.start(p, o, s.cluster.AdminKubeconfig())
	if err != nil {
		return nil, err
	}
	numbers, err := s.watchTwice(ctx, proc, float64(o.Objects))
	if stopErr := proc.stop(); err == nil {
		err = stopErr
	}
	return numbers, err
}

func (s *scene) watchTwice(ctx context.Context, proc *process, objects float64) (map[string]float64, error) {
	report, err := proc.await(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, s.settle); err != nil {
		return nil, err
	}
	before, err := proc.cpu()
	if err != nil {
		return nil, err
	}
	if err := s.changeAll(ctx); err != nil {
		return nil, err
	}
	if err := pause(ctx, s.settle); err != nil {
		return nil, err
	}
	after, err := proc.cpu()
	if err != nil {
		return nil, err
	}
	rss, peak, err := proc.memory()
	if err != nil {
		return nil, err
	}
	first, later := report.CPU.Seconds(), after-before
	return map[string]float64{
		measureEachCall: (first + later) * 1e6 / (2 * objects), measureFirst: first * 1e6 / objects, measureLater: later * 1e6 / objects,
		measureRSS: rss / 1e6, measurePeak: peak / 1e6,
	}, nil
}

// changeAll changes every object once.
func (s *scene) changeAll(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	stamp := time.Now().UnixNano() // Another one each time, or nothing would change.
	for i := range s.objects {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return s.send(ctx, sentChange{object: objectName(i), stamp: stamp}) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("changing objects: %w", err)
	}
	return nil
}
