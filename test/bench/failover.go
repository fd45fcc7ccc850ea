package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the row about a leader that is stopped.
const (
	measureLeading     = "p50, new parent to everything right, while one leads"
	measureFailover    = "p50, leader stopped and new parent to everything right"
	measureFailoverMax = "slowest, leader stopped and new parent to everything right"
)

// Settings of the row about a leader that is stopped.
const (
	failovers   = 3 // in each repetition
	whileLeads  = 20
	leastSettle = 3 * time.Second // of a standby, which is to be ready
)

// failoverRow is a row in which one of two replicas is stopped with SIGTERM while it leads, and a
// parent is created in the same moment. The time ends when everything of the parent is right.
func failoverRow(parents int) row {
	return row{
		name: "children-failover", title: fmt.Sprintf("SIGTERM of the leader of 2 replicas, beside %d parents", parents),
		fixture: childFixture, measured: restarted,
		measures: []measure{
			{name: measureLeading, unit: milliseconds},
			{name: measureFailover, unit: milliseconds, targets: []target{{of: kooperd, measure: measureLeading, factor: 3}}},
			{name: measureFailoverMax, unit: milliseconds},
		},
		order: func() order.Order {
			o := childOrder()
			o.LeaseNamespace = namespace
			return o
		},
		run: ofChildren(parents, (*composing).measureFailover),
	}
}

// measureFailover creates parents, some of them when the leader is asked to stop.
func (c *composing) measureFailover(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	return c.failOver(ctx, p, o, parents, failovers, allRight, numbers)
}

// failOver stops leaders. A parent has been handled when it is at a level.
func (c *composing) failOver(
	ctx context.Context, p program, o order.Order, parents, leaders int, handled level, numbers map[string]float64,
) error {
	leader, err := c.prepare(ctx, p, o, parents)
	if err != nil {
		return err
	}
	var leading, stopped []float64
	next := parents
	for range leaders {
		standby, err := c.launch(p, o)
		if err != nil {
			return err
		}
		if err := pause(ctx, max(c.settle, leastSettle)); err != nil {
			return err
		}
		for range whileLeads {
			took, err := c.newParent(ctx, next, handled)
			if err != nil {
				return err
			}
			leading = append(leading, took)
			next++
		}
		ending := make(chan error, 1)
		go func() { ending <- c.end(leader) }()
		took, err := c.newParent(ctx, next, handled)
		if err := <-ending; err != nil {
			return err
		}
		if err != nil {
			return err
		}
		stopped = append(stopped, took)
		next++
		leader = standby
	}
	slices.Sort(leading)
	slices.Sort(stopped)
	numbers[measureLeading] = quantile(leading, 0.5)
	numbers[measureFailover], numbers[measureFailoverMax] = quantile(stopped, 0.5), quantile(stopped, 1)
	return nil
}

// newParent creates parent i and returns how many milliseconds it takes until it has been handled,
// and waits a little longer.
func (c *composing) newParent(ctx context.Context, i int, handled level) (float64, error) {
	since := time.Now()
	if err := c.createSite(ctx, c.kind, i); err != nil {
		return 0, fmt.Errorf("creating a parent: %w", err)
	}
	at, err := c.awaitDone(ctx, siteName(i), since, handled)
	if err != nil {
		return 0, err
	}
	return float64(at.Sub(since)) / 1e6, pause(ctx, betweenThem)
}
