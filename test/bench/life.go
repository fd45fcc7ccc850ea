package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"kooperd.dev/kooperd/test/bench/order"
)

// A program that uses less than a share of one processor for some time does nothing. Kro looks
// again at what it has changed after 3 s.
const (
	quietCPU      = 0.02
	leastQuiet    = 4 * time.Second
	quietPatience = 20 * time.Second // with one that waits for something
)

// measureLife lets a program make the children of all parents, mend them, change them and find them
// right after a restart. The floor cannot do the last two.
func (c *composing) measureLife(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	r, err := c.grow(ctx, p, o, parents, numbers)
	if err != nil {
		return err
	}
	if err := c.drift(ctx, o, parents, numbers); err != nil {
		return err
	}
	if p == informer {
		return nil
	}
	if err := c.quiet(ctx, r); err != nil {
		return err
	}
	o.Extra = "more"
	if err := c.redefine(ctx, p, r, o, parents, numbers); err != nil {
		return err
	}
	if err := c.end(r); err != nil {
		return err
	}
	o.CPUProfile, o.HeapProfile = "", ""
	return c.restart(ctx, p, o, numbers)
}

// measureTemplates lets a program make the children of all parents.
func (c *composing) measureTemplates(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	_, err := c.grow(ctx, p, o, parents, numbers)
	return err
}

// measureFew lets a program make the children of few parents, for what it costs without them.
func (c *composing) measureFew(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	file, err := os.Stat(filepath.Join(c.bin, string(p)))
	if err != nil {
		return fmt.Errorf("finding the size of %s: %w", p, err)
	}
	numbers[measureSize] = float64(file.Size()) / 1e6
	r, err := c.grow(ctx, p, o, parents, numbers)
	if err != nil {
		return err
	}
	if err := c.end(r); err != nil {
		return err
	}
	return c.restart(ctx, p, o, numbers)
}

// grow lets a program make the children of all parents. It has made those of one before, so that it
// is ready.
func (c *composing) grow(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) (replica, error) {
	r, err := c.prepare(ctx, p, o, 1)
	if err != nil {
		return replica{}, err
	}
	from := time.Now()
	if err := c.createSites(ctx, c.kind, 1, parents+1); err != nil {
		return replica{}, err
	}
	last, err := c.awaitAll(ctx, parents+1, allRight)
	if err != nil {
		return replica{}, err
	}
	numbers[measureAllChildren] = c.lastReached(childrenRight).Sub(from).Seconds()
	numbers[measureAllStatus] = c.lastReached(statusRight).Sub(from).Seconds()
	numbers[measureAllReady] = last.Sub(from).Seconds()
	if err := c.quiet(ctx, r); err != nil {
		return replica{}, err
	}
	if numbers[measureQuietCPU], err = r.cpu(); err != nil {
		return replica{}, err
	}
	memory, err := r.status()
	if err != nil {
		return replica{}, err
	}
	numbers[measurePeak], numbers[measureAnonymous] = memory["VmHWM"]/1e6, memory["RssAnon"]/1e6
	requests, err := c.askedBy(ctx, r.user, from, time.Now())
	if err != nil {
		return replica{}, err
	}
	explain(p, requests)
	requests.count(numbers, measureEach, parents)
	return r, nil
}

// quiet waits until a program has done nothing for a while.
func (c *composing) quiet(ctx context.Context, r replica) error {
	long := max(c.settle, leastQuiet)
	for before := math.Inf(-1); ; {
		used, err := r.cpu()
		if err != nil || used-before <= quietCPU*long.Seconds() {
			return err
		}
		if err := pause(ctx, long); err != nil {
			return err
		}
		before = used
	}
}

// redefine changes what a program makes while it runs.
func (c *composing) redefine(ctx context.Context, p program, r replica, o order.Order, parents int, numbers map[string]float64) error {
	c.want(o)
	from := time.Now()
	var err error
	if p == kro {
		err = c.writeGraph(ctx, o)
	} else {
		err = r.reload(o)
	}
	if err != nil {
		return err
	}
	last, err := c.awaitAll(ctx, parents+1, childrenRight)
	if err != nil {
		return err
	}
	if err := c.quiet(ctx, r); err != nil {
		return err
	}
	requests, err := c.askedBy(ctx, r.user, from, time.Now())
	if err != nil {
		return err
	}
	explain(p, requests)
	numbers[measureChanged] = last.Sub(from).Seconds()
	numbers[measureChangedEach] = float64(len(requests)) / float64(parents+1)
	return nil
}

// restart starts a program anew when everything is right.
func (c *composing) restart(ctx context.Context, p program, o order.Order, numbers map[string]float64) error {
	r, err := c.serve(ctx, p, o)
	if err != nil {
		return err
	}
	if err := c.quiet(ctx, r); err != nil {
		return err
	}
	if numbers[measureRestartCPU], err = r.cpu(); err != nil {
		return err
	}
	requests, err := c.askedBy(ctx, r.user, r.started, time.Now())
	if err != nil {
		return err
	}
	explain(p, requests)
	last := r.started
	for _, e := range requests {
		if e.Verb != "watch" && e.RequestReceived.After(last) {
			last = e.RequestReceived.Time
		}
	}
	numbers[measureLastRequest] = last.Sub(r.started).Seconds()
	numbers[measureRestartAll], numbers[measureRestartSent] = float64(len(requests)), float64(len(requests.writes()))
	return nil
}

// measureTemplateFailover stops one leader. A parent has been handled when its children and the
// field of its status are right.
func (c *composing) measureTemplateFailover(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	return c.failOver(ctx, p, o, parents, 1, statusRight, numbers)
}
