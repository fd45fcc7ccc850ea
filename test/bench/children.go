package main

import (
	"context"
	"fmt"
	"time"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the rows about children.
const (
	measureConverged    = "first parent created to everything right"
	measureEach         = "requests for each parent"
	measureEachChildren = "writes of children among them"
	measureEachStatus   = "writes of the status among them"
	measureEachReads    = "reads among them"
	measureSettledCPU   = "CPU, until settled"
	measureWrites       = "writes and dry runs among them"
	measureAnonymous    = "of it anonymous, not the program's file"
	measureParentRSS    = "RSS after, of each further parent"
	measureParentCPU    = "CPU of each further parent"
)

// leastParents are those of rows that show what a program costs without them.
const leastParents = 10

// childFixture is the cluster of the rows about children. Its audit log costs all programs the
// same.
var childFixture = fixture{shape: siteShape, audit: true}

// composers are the programs that make children, and restarted those of them that can be restarted:
// the floor knows nothing of what is there.
var (
	composers = programs
	restarted = []program{kooperd, manager}
)

// childOrder is what a program does in the rows about children.
func childOrder() order.Order {
	return order.Order{Kinds: []order.Kind{siteKind}, Definitions: 1, Work: order.Compose, Workers: 16}
}

// childRows are the rows about children of so many parents.
func childRows(parents int) []row {
	return []row{
		convergeRow("children-few", leastParents), convergeRow("children", parents),
		childRestartRow("children-restart-few", leastParents), childRestartRow("children-restart", parents),
		definitionRow(parents), changeRow(parents), driftRow(parents), failoverRow(parents),
	}
}

// convergeRow is a row in which parents are created while a program runs. The floor is a bare
// client that applies the same.
func convergeRow(name string, parents int) row {
	r := row{
		name: name, title: fmt.Sprintf("%d parents created by %d clients, 3 children each", parents, siteCreators),
		fixture: childFixture, measured: composers,
		measures: []measure{
			{name: measureConverged, unit: seconds},
			{name: measureSettledCPU, unit: seconds}, {name: measurePeak, unit: megabytes},
			{name: measureRSS, unit: megabytes}, {name: measureAnonymous, unit: megabytes},
		},
		order: childOrder,
		run:   ofChildren(parents, (*composing).measureConverge),
	}
	if name == "children-few" {
		return r
	}
	further := float64(parents - leastParents)
	r.measures[0].targets = []target{{of: informer, factor: 1.3}}
	r.measures[1].targets = []target{{of: manager, factor: 0.6}}
	r.measures[2].targets = []target{{of: manager, factor: 1}}
	r.measures = append(r.measures,
		measure{name: measureParentCPU, unit: microseconds, marginal: &marginal{of: measureSettledCPU, base: "children-few", objects: further, scale: 1e6}},
		measure{name: measureParentRSS, unit: kilobytes, marginal: &marginal{of: measureRSS, base: "children-few", objects: further, scale: 1e3}},
		measure{name: measureEach, targets: []target{{factor: 4.2}}},
		measure{name: measureEachChildren}, measure{name: measureEachStatus}, measure{name: measureEachReads})
	return r
}

// measureConverge lets a program make the children of all parents. It has made those of one before,
// so that it is ready.
func (c *composing) measureConverge(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	if o.HeapProfile != "" { // It is made at the moment of the report.
		o.Objects = parents + 1
	}
	r, err := c.prepare(ctx, p, o, 1)
	if err != nil {
		return err
	}
	from := time.Now()
	took, err := c.converge(ctx, 1, parents+1)
	if err != nil {
		return err
	}
	if err := c.settled(ctx, r, numbers); err != nil {
		return err
	}
	to := time.Now()
	if err := c.end(r); err != nil {
		return err
	}
	requests, err := c.askedBy(ctx, r.user, from, to)
	if err != nil {
		return err
	}
	explain(p, requests)
	numbers[measureConverged] = took.Seconds()
	requests.count(numbers, measureEach, parents)
	return nil
}

// settled waits for a while and then reads what a program has used.
func (c *composing) settled(ctx context.Context, r replica, numbers map[string]float64) error {
	if err := pause(ctx, c.settle); err != nil {
		return err
	}
	memory, err := r.status()
	if err != nil {
		return err
	}
	cpu, err := r.cpu()
	if err != nil {
		return err
	}
	numbers[measureSettledCPU], numbers[measurePeak] = cpu, memory["VmHWM"]/1e6
	numbers[measureRSS], numbers[measureAnonymous] = memory["VmRSS"]/1e6, memory["RssAnon"]/1e6
	return nil
}

// childRestartRow is a row in which a program starts when everything is right already. Its time
// ends when every parent has been handled.
func childRestartRow(name string, parents int) row {
	r := row{
		name: name, title: fmt.Sprintf("restart with the children of %d parents right", parents),
		fixture: childFixture, measured: restarted,
		measures: []measure{
			{name: measureTime, unit: seconds}, {name: measureSettledCPU, unit: seconds},
			{name: measureRequests}, {name: measureWrites, targets: []target{{factor: 0}}},
			{name: measurePeak, unit: megabytes},
		},
		order: childOrder,
		run:   ofChildren(parents, (*composing).measureRestart),
	}
	if name == "children-restart" {
		r.measures[2].targets = []target{{of: kooperd, row: "children-restart-few", factor: 1}}
	}
	return r
}

// measureRestart starts a program a second time.
func (c *composing) measureRestart(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	r, err := c.prepare(ctx, p, childOrder(), parents)
	if err != nil {
		return err
	}
	if err := c.end(r); err != nil {
		return err
	}
	o.Objects = parents
	if r, err = c.launch(p, o); err != nil {
		return err
	}
	report, err := r.await(ctx)
	if err != nil {
		return err
	}
	if err := c.settled(ctx, r, numbers); err != nil {
		return err
	}
	to := time.Now()
	if err := c.end(r); err != nil {
		return err
	}
	requests, err := c.askedBy(ctx, r.user, r.started, to)
	if err != nil {
		return err
	}
	explain(p, requests)
	numbers[measureTime] = report.At.Sub(r.started).Seconds()
	numbers[measureRequests], numbers[measureWrites] = float64(len(requests)), float64(len(requests.writes()))
	return nil
}
