package main

import (
	"context"
	"fmt"
	"slices"

	"kooperd.dev/kooperd/test/bench/order"
)

// target is a limit for a figure of kooperd. The zero values of row and measure mean those that the
// target stands at.
type target struct {
	// of is the program whose figure is the yardstick; empty means none: factor is the limit
	// itself.
	of           program
	row, measure string
	factor       float64
}

// Names of measures that several rows have.
const (
	measureTime      = "start to last object handled"
	measureCPU       = "CPU"
	measurePerObject = "CPU per object"
	measureDecoding  = "CPU of getting the Go type, per object"
	measurePeak      = "peak RSS"
	measureRSS       = "RSS after"
	measureRSSEach   = "RSS after, per object"
	measureEachRSS   = "RSS after, of each further object"
	measureEachCPU   = "CPU of each further object"
)

// allRows returns all rows for the settings, in the order of the table.
func allRows(s settings) []row {
	small := fixture{shape: smallPods, objects: s.n}
	half := fixture{shape: smallPods, objects: s.n / 2}
	rows := []row{
		drainRow("start", fmt.Sprintf("%d pods, 1 definition", s.n), small,
			order.Order{Definitions: 1}, map[string][]target{
				measureTime: {{of: informer, factor: 1.2}, {of: manager, factor: 0.6}},
				measurePeak: {{of: manager, factor: 0.45}},
			}),
		drainRow("definitions", fmt.Sprintf("%d pods, 10 definitions", s.n), small,
			order.Order{Definitions: 10}, map[string][]target{
				measureTime: {{of: manager, factor: 0.3}},
				measurePeak: {{of: manager, factor: 0.35}},
			}),
		drainRow("decode", fmt.Sprintf("%d pods decoded into their Go type", s.n), small,
			order.Order{Definitions: 1, Work: order.Decode}, map[string][]target{
				measurePerObject: {{of: manager, factor: 1.1}},
				measureDecoding:  {{of: manager, factor: 1.1}},
			}),
		drainRow("start-large", fmt.Sprintf("%d large pods, 1 definition", s.n), fixture{shape: largePods, objects: s.n},
			order.Order{Definitions: 1}, map[string][]target{
				measureTime: {{of: informer, factor: 1.2}, {of: manager, factor: 0.6}},
				measurePeak: {{of: manager, factor: 0.45}},
			}),
		drainRow("custom", fmt.Sprintf("%d custom objects, 1 definition", s.n), fixture{shape: widgets, objects: s.n},
			order.Order{Kinds: []order.Kind{widgetKind}, Definitions: 1, View: order.Unstructured}, map[string][]target{
				measureCPU:  {{of: informer, factor: 0.5}},
				measurePeak: {{of: informer, factor: 0.3}},
				measureRSS:  {{of: informer, factor: 0.3}},
			}),
		drainRow("metadata", fmt.Sprintf("%d pods, metadata only", s.n*5/2), fixture{shape: smallPods, objects: s.n * 5 / 2},
			order.Order{Definitions: 1, View: order.Metadata}, map[string][]target{
				measurePeak: {{of: informer, factor: 1.1}},
				measureRSS:  {{of: informer, factor: 1.1}},
			}),
		historyRow(small),
		latencyRow(half, 50, 1), latencyRow(half, 500, 1), latencyRow(half, 50, 20), latencyRow(half, 500, 20),
		resyncRow(half.objects),
		idleRow("idle-1-kind", "idle, 20 definitions on 1 kind, 2 replicas", manyKinds[:1]),
		idleRow("idle-20-kinds", "idle, 20 definitions on 20 kinds, 2 replicas", manyKinds),
		startupRow(1), startupRow(100), startupRow(1000),
		scaleRow("scale-0", 10), scaleRow("scale-1", half.objects), scaleRow("scale-10", half.objects*10),
	}
	rows = append(rows, pageRows(s.n*5)...)
	return slices.Concat(rows, childRows(s.n/20), templateRows(s.n/20), hookRows(s.n/20))
}

// scaleRow is a row that says what objects cost, of which the one called scale-0 has next to none
// and scale-10 the most.
func scaleRow(name string, objects int) row {
	r := drainRow(name, fmt.Sprintf("%d pods, cost per object", objects), fixture{shape: smallPods, objects: objects}, order.Order{Definitions: 1}, nil)
	if name == "scale-0" {
		return r
	}
	further := float64(objects - 10)
	each := []measure{
		{name: measureEachCPU, unit: microseconds, marginal: &marginal{of: measureCPU, base: "scale-0", objects: further, scale: 1e6}},
		{name: measureEachRSS, unit: kilobytes, marginal: &marginal{of: measureRSS, base: "scale-0", objects: further, scale: 1e3}},
	}
	if name == "scale-10" {
		for i := range each {
			each[i].targets = []target{{of: kooperd, row: "scale-1", factor: 1.1}}
		}
	}
	r.measures = append(r.measures, each...)
	return r
}

// drainRow is a row in which every object that exists is handled once.
func drainRow(name, title string, f fixture, o order.Order, targets map[string][]target) row {
	if o.Kinds == nil {
		o.Kinds = []order.Kind{pods}
	}
	if o.View == "" {
		o.View = order.Typed
	}
	if o.Work == "" {
		o.Work = order.Nothing
	}
	o.Objects = f.objects
	measures := []measure{
		{name: measureTime, unit: seconds}, {name: measureCPU, unit: seconds}, {name: measurePerObject, unit: microseconds},
		{name: measurePeak, unit: megabytes}, {name: measureRSS, unit: megabytes}, {name: measureRSSEach, unit: kilobytes},
	}
	if o.Work == order.Decode {
		measures = append(measures, measure{name: measureDecoding, unit: microseconds})
	}
	for i := range measures {
		measures[i].targets = targets[measures[i].name]
	}
	return row{
		name: name, title: title, fixture: f, measures: measures, measured: programs,
		order: func() order.Order { return o },
		once: func(ctx context.Context, s *scene, p program) (readings, error) {
			numbers, err := s.drain(ctx, p, o)
			return readings{p: numbers}, err
		},
	}
}

// drain runs a program until it has handled every object once, and a while longer.
func (s *scene) drain(ctx context.Context, p program, o order.Order) (map[string]float64, error) {
	proc, err := s.start(p, o, s.cluster.AdminKubeconfig())
	if err != nil {
		return nil, err
	}
	numbers, err := s.watchDrain(ctx, proc, o)
	if stopErr := proc.stop(); err == nil {
		err = stopErr
	}
	return numbers, err
}

func (s *scene) watchDrain(ctx context.Context, proc *process, o order.Order) (map[string]float64, error) {
	report, err := proc.await(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, s.settle); err != nil {
		return nil, err
	}
	rss, peak, err := proc.memory()
	if err != nil {
		return nil, err
	}
	objects, calls := float64(o.Objects), float64(o.Objects*o.Definitions)
	return map[string]float64{
		measureTime:      report.At.Sub(proc.started).Seconds(),
		measureCPU:       report.CPU.Seconds(),
		measurePerObject: report.CPU.Seconds() * 1e6 / objects,
		measureDecoding:  report.Decoding.Seconds() * 1e6 / calls,
		measurePeak:      peak / 1e6,
		measureRSS:       rss / 1e6,
		measureRSSEach:   rss / 1e3 / objects,
	}, nil
}
