package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the rows about single changes.
const (
	measureMended      = "p50, changed by hand to right again"
	measureMendedMax   = "slowest, changed by hand to right again"
	measureRestored    = "p50, deleted by hand to there again"
	measureRestoredMax = "slowest, deleted by hand to there again"
	measureFollowed    = "p50, changed parent to everything right"
	measureFollowedMax = "slowest, changed parent to everything right"
	measureEachChange  = "requests for each change"
)

// Settings of the rows about single changes.
const (
	singleChanges = 100                   // at most, each of another parent
	betweenThem   = 20 * time.Millisecond // for what a program still does after one
)

// driftRow is a row in which children are changed and deleted by hand, one after the other. The
// floor is a bare watch whose every event of a wrong child is answered by one apply. Times are from
// when the observer's watch has the wrong child until it has the right one.
func driftRow(parents int) row {
	return row{
		name: "children-drift", title: fmt.Sprintf("a child of %d parents changed or deleted by hand", parents),
		fixture: childFixture, measured: composers,
		measures: []measure{
			{name: measureMended, unit: milliseconds, targets: []target{{of: informer, factor: 2}}},
			{name: measureMendedMax, unit: milliseconds},
			{name: measureRestored, unit: milliseconds, targets: []target{{of: informer, factor: 2}}},
			{name: measureRestoredMax, unit: milliseconds},
		},
		order: childOrder,
		run: func(ctx context.Context, s *scene, p program, o order.Order) (readings, error) {
			o.Repair = true
			return ofChildren(parents, (*composing).measureDrift)(ctx, s, p, o)
		},
	}
}

// measureDrift changes a child of each of some parents, and then deletes another one of each.
func (c *composing) measureDrift(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	if _, err := c.prepare(ctx, p, o, parents); err != nil {
		return err
	}
	if err := pause(ctx, c.settle); err != nil {
		return err
	}
	return c.drift(ctx, o, parents, numbers)
}

// drift changes and deletes children while a program runs.
func (c *composing) drift(ctx context.Context, o order.Order, parents int, numbers map[string]float64) error {
	children := c.client.CoreV1().ConfigMaps(namespace)
	mended, err := c.mendings(ctx, parents, func(ctx context.Context, parent string) error {
		patch := []byte(`{"data":{"text":"by hand"}}`)
		_, err := children.Patch(ctx, order.ChildName(parent, o.Children()[0]), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "hand"})
		return err
	})
	if err != nil {
		return err
	}
	restored, err := c.mendings(ctx, parents, func(ctx context.Context, parent string) error {
		return children.Delete(ctx, order.ChildName(parent, o.Children()[1]), metav1.DeleteOptions{})
	})
	if err != nil {
		return err
	}
	numbers[measureMended], numbers[measureMendedMax] = quantile(mended, 0.5), quantile(mended, 1)
	numbers[measureRestored], numbers[measureRestoredMax] = quantile(restored, 0.5), quantile(restored, 1)
	return nil
}

// mendings spoils a child of one parent after the other and returns how many milliseconds each was
// not right, sorted.
func (c *composing) mendings(ctx context.Context, parents int, spoil func(ctx context.Context, parent string) error) ([]float64, error) {
	var took []float64
	for i := range min(parents, singleChanges) {
		since := time.Now()
		if err := spoil(ctx, siteName(i)); err != nil {
			return nil, fmt.Errorf("spoiling a child: %w", err)
		}
		wrong, err := c.awaitMended(ctx, siteName(i), since)
		if err != nil {
			return nil, err
		}
		took = append(took, float64(wrong)/1e6)
		if err := pause(ctx, betweenThem); err != nil {
			return nil, err
		}
	}
	slices.Sort(took)
	return took, nil
}

// changeRow is a row in which one field of one parent after the other is changed, of which one
// child is made.
func changeRow(parents int) row {
	return row{
		name: "children-change", title: fmt.Sprintf("one field of one of %d parents changed, which one child has", parents),
		fixture: childFixture, measured: restarted,
		measures: []measure{
			{name: measureFollowed, unit: milliseconds}, {name: measureFollowedMax, unit: milliseconds},
			{name: measureEachChange, targets: []target{{factor: 2}}},
			{name: measureEachChildren, targets: []target{{factor: 1}}}, {name: measureEachStatus, targets: []target{{factor: 1}}},
		},
		order: childOrder,
		run:   ofChildren(parents, (*composing).measureChanges),
	}
}

// measureChanges changes some parents.
func (c *composing) measureChanges(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	r, err := c.prepare(ctx, p, o, parents)
	if err != nil {
		return err
	}
	if err := pause(ctx, c.settle); err != nil {
		return err
	}
	from := time.Now()
	patch := []byte(`{"spec":{"note":"a note"}}`)
	var took []float64
	for i := range min(parents, singleChanges) {
		since := time.Now()
		_, err := c.sites(c.kind).Patch(ctx, siteName(i), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "hand"})
		if err != nil {
			return fmt.Errorf("changing a parent: %w", err)
		}
		at, err := c.awaitDone(ctx, siteName(i), since, allRight)
		if err != nil {
			return err
		}
		took = append(took, float64(at.Sub(since))/1e6)
		if err := pause(ctx, betweenThem); err != nil {
			return err
		}
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
	slices.Sort(took)
	numbers[measureFollowed], numbers[measureFollowedMax] = quantile(took, 0.5), quantile(took, 1)
	requests.count(numbers, measureEachChange, len(took))
	return nil
}
