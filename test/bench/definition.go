package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"kooperd.dev/kooperd/test/bench/order"
)

// measureRedefined is a measure of the row about a changed definition.
const measureRedefined = "definition changed to everything right"

// definitionRow is a row in which all children get one more text. Kooperd reads that from its
// config, which it is asked to read again; other programs are stopped and started anew, and the
// time begins at the start.
func definitionRow(parents int) row {
	return row{
		name: "children-definition", title: fmt.Sprintf("definition changed with %d parents, one more key in each child", parents),
		fixture: childFixture, measured: composers,
		measures: []measure{
			{name: measureRedefined, unit: seconds},
			{name: measureEach}, {name: measureEachChildren}, {name: measureEachStatus}, {name: measureEachReads},
		},
		order: childOrder,
		run:   ofChildren(parents, (*composing).measureDefinition),
	}
}

// measureDefinition changes what a program makes.
func (c *composing) measureDefinition(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	r, err := c.prepare(ctx, p, o, parents)
	if err != nil {
		return err
	}
	if err := pause(ctx, c.settle); err != nil {
		return err
	}
	o.Extra = "more"
	c.want(o)
	from := time.Now()
	if p == kooperd {
		err = r.reload(o)
	} else {
		if err = c.end(r); err == nil {
			from = time.Now()
			r, err = c.launch(p, o)
		}
	}
	if err != nil {
		return err
	}
	last, err := c.awaitAll(ctx, parents, allRight)
	if err != nil {
		return err
	}
	if err := pause(ctx, c.settle); err != nil {
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
	numbers[measureRedefined] = last.Sub(from).Seconds()
	requests.count(numbers, measureEach, parents)
	return nil
}

// reload gives kooperd another order, which it reads at once.
func (p *process) reload(o order.Order) error {
	if err := writeConfig(o, p.config); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("asking %s to read its config: %w", p.program, err)
	}
	return nil
}
