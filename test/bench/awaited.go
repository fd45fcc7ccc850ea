package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the rows about children that read others.
const (
	measureAnswered       = "p50, value written by hand to child that has it"
	measureAnsweredMax    = "slowest, value written by hand to child that has it"
	measureAnsweredStatus = "p50, value written by hand to status that has it"
	measureChained        = "p50, new parent to all children and status right"
	measureChainedSlow    = "p99, new parent to all children and status right"
)

// measureAnswers writes into a child of one parent after the other what another child waits for.
// Times are from when the observer's watch has it.
func (c *composing) measureAnswers(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	r, err := c.serve(ctx, p, o)
	if err != nil {
		return err
	}
	if err := c.createSites(ctx, c.kind, 0, parents); err != nil {
		return err
	}
	if _, err := c.awaitAll(ctx, parents, childrenRight); err != nil {
		return err
	}
	// A program may ask again and again for what it waits for, and is never quiet then.
	patient, cancel := context.WithTimeout(ctx, quietPatience)
	err = c.quiet(patient, r)
	cancel()
	if err != nil && patient.Err() == nil || ctx.Err() != nil {
		return err
	}
	var made, said []float64
	for i := range parents {
		since := time.Now()
		if err := c.answer(ctx, i); err != nil {
			return err
		}
		child, err := c.awaitMended(ctx, siteName(i), since)
		if err != nil {
			return err
		}
		status, err := c.awaitAfter(ctx, siteName(i), since, statusRight)
		if err != nil {
			return err
		}
		made, said = append(made, float64(child)/1e6), append(said, float64(status)/1e6)
		if err := pause(ctx, betweenThem); err != nil {
			return err
		}
	}
	slices.Sort(made)
	slices.Sort(said)
	numbers[measureAnswered], numbers[measureAnsweredMax] = quantile(made, 0.5), quantile(made, 1)
	numbers[measureAnsweredStatus] = quantile(said, 0.5)
	return nil
}

// answer writes into the first child of parent i.
func (c *composing) answer(ctx context.Context, i int) error {
	patch, err := json.Marshal(map[string]any{"data": map[string]any{order.AnswerKey: fmt.Sprintf("answer %d", i)}})
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().ConfigMaps(namespace).Patch(ctx, order.ChildName(siteName(i), order.Asked), types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: "hand"})
	if err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}

// measureChains creates one parent after the other.
func (c *composing) measureChains(ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error {
	r, err := c.prepare(ctx, p, o, 1)
	if err != nil {
		return err
	}
	if err := c.quiet(ctx, r); err != nil {
		return err
	}
	from := time.Now()
	var took []float64
	for i := range parents {
		one, err := c.newParent(ctx, i+1, statusRight)
		if err != nil {
			return err
		}
		took = append(took, one)
	}
	if err := c.quiet(ctx, r); err != nil {
		return err
	}
	requests, err := c.askedBy(ctx, r.user, from, time.Now())
	if err != nil {
		return err
	}
	explain(p, requests)
	slices.Sort(took)
	numbers[measureChained], numbers[measureChainedSlow] = quantile(took, 0.5), quantile(took, 0.99)
	numbers[measureEach] = float64(len(requests)) / float64(parents)
	return nil
}
