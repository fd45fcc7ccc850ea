package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the rows about changes.
const (
	measureP50      = "p50, sent to handler entered"
	measureP99      = "p99, sent to handler entered"
	measureP50Above = "p50 above that of the bare watch"
	measureP99Above = "p99 above that of the bare watch"
)

// warmUp is how long changes are sent without counting them.
const warmUp = 2 * time.Second

// senders is how many changes may be on their way to the API server.
const senders = 64

// changed is how many of the objects are changed, at random.
const changed = 1000

// latencyRow is a row of changes at a rate that come to a handler of each definition. The column of client-go is the bare
// watch beside kooperd.
func latencyRow(f fixture, perSecond, definitions int) row {
	o := order.Order{Kinds: []order.Kind{pods}, Definitions: definitions, Objects: f.objects, View: order.Typed, Work: order.Stamp}
	return row{
		name:    fmt.Sprintf("latency-%d-%d", perSecond, definitions),
		title:   fmt.Sprintf("change to handler, %d per second, %s", perSecond, count(definitions, "definition")),
		fixture: f, measured: []program{kooperd, manager},
		measures: []measure{
			{name: measureP50, unit: milliseconds}, {name: measureP99, unit: milliseconds},
			{name: measureP50Above, unit: milliseconds, targets: []target{{factor: 0.2}}},
			{name: measureP99Above, unit: milliseconds, targets: []target{{factor: 2}}},
		},
		once: func(ctx context.Context, s *scene, p program) (readings, error) {
			own, bare, err := s.beside(ctx, p, o, func(ctx context.Context) error { return s.change(ctx, perSecond, s.latency) })
			if err != nil {
				return nil, err
			}
			return latencyReadings(p, own, bare)
		},
	}
}

// latencyReadings compares what came to a program with what came to the watch beside it.
func latencyReadings(p program, own, bare []order.Sample) (readings, error) {
	if len(own) == 0 || len(bare) == 0 {
		return nil, fmt.Errorf("comparing with the bare watch: have %d and %d changes", len(own), len(bare))
	}
	delay := func(s order.Sample) float64 { return float64(s.Entered-s.Sent) / 1e6 }
	mine, floor := sorted(own, delay), sorted(bare, delay)
	got := readings{p: {
		measureP50: quantile(mine, 0.5), measureP50Above: quantile(mine, 0.5) - quantile(floor, 0.5),
		measureP99: quantile(mine, 0.99), measureP99Above: quantile(mine, 0.99) - quantile(floor, 0.99),
	}}
	if p == kooperd {
		got[informer] = map[string]float64{measureP50: quantile(floor, 0.5), measureP99: quantile(floor, 0.99)}
	}
	return got, nil
}

func sorted(samples []order.Sample, of func(order.Sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values
}

// quantile returns the smallest of the sorted values that a share q of all does not exceed.
func quantile(sorted []float64, q float64) float64 {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// beside runs a program with an order, and the bare watch beside it, and returns the changes that came to them in work.
func (s *scene) beside(ctx context.Context, p program, o order.Order, work func(ctx context.Context) error) (own, bare []order.Sample, err error) {
	o.Samples = filepath.Join(s.dir, "samples")
	watch := order.Order{Definitions: 1, Objects: 1, View: order.Watch, Work: order.Stamp, Samples: filepath.Join(s.dir, "watch")}
	main, err := s.start(p, o, s.cluster.AdminKubeconfig())
	if err != nil {
		return nil, nil, err
	}
	floor, err := s.start(informer, watch, s.cluster.AdminKubeconfig())
	if err != nil {
		return nil, nil, errors.Join(err, main.stop())
	}
	for _, proc := range []*process{main, floor} {
		if proc == main && o.Objects == 0 {
			continue
		}
		if _, err = proc.await(ctx); err != nil {
			break
		}
	}
	begin := time.Now()
	if err == nil {
		err = work(ctx)
	}
	if err := errors.Join(err, main.stop(), floor.stop()); err != nil {
		return nil, nil, err
	}
	if own, err = readSamples(o.Samples); err != nil {
		return nil, nil, err
	}
	if bare, err = readSamples(watch.Samples); err != nil {
		return nil, nil, err
	}
	return sentSince(own, begin), sentSince(bare, begin), nil
}

// sentSince drops the stamps of earlier runs, which objects still have.
func sentSince(samples []order.Sample, begin time.Time) []order.Sample {
	return slices.DeleteFunc(samples, func(s order.Sample) bool { return s.Sent < begin.UnixNano() })
}

func readSamples(path string) ([]order.Sample, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading samples: %w", err)
	}
	var samples []order.Sample
	if err := json.Unmarshal(data, &samples); err != nil {
		return nil, fmt.Errorf("reading samples: %w", err)
	}
	return samples, os.Remove(path)
}

// change changes random objects at a rate, whether or not the API server keeps up, first without counting them.
func (s *scene) change(ctx context.Context, perSecond int, counted time.Duration) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(senders)
	client := s.cluster.Client().CoreV1().Pods(namespace)
	interval := time.Second / time.Duration(perSecond)
	begin := time.Now()
	end := begin.Add(warmUp + counted)
	for due := begin; due.Before(end) && pause(ctx, time.Until(due)) == nil; due = due.Add(interval) {
		counts := due.Sub(begin) >= warmUp
		name := objectName(rand.IntN(min(changed, s.objects)))
		group.Go(func() error {
			stamp := "0"
			if counts {
				stamp = strconv.FormatInt(time.Now().UnixNano(), 10)
			}
			patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{order.Annotation: stamp}}})
			if err != nil {
				return err
			}
			_, err = client.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("changing objects: %w", err)
	}
	return pause(context.WithoutCancel(ctx), time.Second) // The last ones are on their way to the handlers.
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
