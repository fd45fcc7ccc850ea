package main

import (
	"context"
	"errors"
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
// Both programs run at the same time, or what else the machine does would make a greater difference
// than the history.
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
			got, err := s.handleTogether(ctx, turn(remembering, rep), o)
			if err != nil {
				return nil, err
			}
			rep++
			got[kooperd][measureMore] = got[kooperd][measureRSS] - got[forgetful][measureRSS]
			return got, nil
		},
	}
}

// handleTogether runs programs until each has handled every object at the start and after a change.
func (s *scene) handleTogether(ctx context.Context, of []program, o order.Order) (got readings, err error) {
	running := map[program]*process{}
	defer func() {
		for _, proc := range running {
			err = errors.Join(err, proc.stop())
		}
	}()
	for _, p := range of {
		if running[p], err = s.start(p, o, s.cluster.AdminKubeconfig()); err != nil {
			delete(running, p)
			return nil, fmt.Errorf("running %s: %w", p, err)
		}
	}
	got = readings{}
	for p, proc := range running {
		report, err := proc.await(ctx)
		if err != nil {
			return nil, fmt.Errorf("running %s: %w", p, err)
		}
		got[p] = map[string]float64{measureFirst: report.CPU.Seconds() * 1e6 / float64(o.Objects)}
	}
	if err := pause(ctx, s.settle); err != nil {
		return nil, err
	}
	return got, s.measureChanges(ctx, running, got, float64(o.Objects))
}

// measureChanges adds what the calls for changes take.
func (s *scene) measureChanges(ctx context.Context, running map[program]*process, got readings, objects float64) error {
	before := map[program]float64{}
	for p, proc := range running {
		var err error
		if before[p], err = proc.cpu(); err != nil {
			return err
		}
	}
	if err := s.changeAll(ctx); err != nil {
		return err
	}
	if err := pause(ctx, s.settle); err != nil {
		return err
	}
	for p, proc := range running {
		after, err := proc.cpu()
		if err != nil {
			return err
		}
		rss, peak, err := proc.memory()
		if err != nil {
			return err
		}
		later := (after - before[p]) * 1e6 / objects
		got[p][measureLater], got[p][measureRSS], got[p][measurePeak] = later, rss/1e6, peak/1e6
		got[p][measureEachCall] = (got[p][measureFirst] + later) / 2
	}
	return nil
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
