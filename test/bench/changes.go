package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// changed is how many of the objects are changed, in an order that is another one each time round:
// two changes of one object would make the API server try again if they met.
const changed = 1000

// senders is how many changes may be on their way to the API server: enough for 500 per second that
// take 250 ms each, and not so many that it does worse for having them. Those that have to wait are
// due meanwhile.
const senders = 128

// drainTime is how long the last changes may take to the handlers. What comes later is missing.
const drainTime = 5 * time.Second

// tolerated is the share of the changes that may be missing in a row that counts.
const tolerated = 0.01

// sentChange is one change that counts.
type sentChange struct {
	object string
	stamp  int64 // when it was due, in nanoseconds since 1970
}

// change changes objects at a rate, whether or not the API server keeps up, first without counting
// them: a change is sent when it is due, and its stamp is that moment even if it is sent late.
func (s *scene) change(ctx context.Context, perSecond int, warmUp, counted time.Duration) ([]sentChange, error) {
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(senders)
	interval := time.Second / time.Duration(perSecond)
	begin := time.Now()
	var sent []sentChange
	var round []int
	for due := begin; due.Before(begin.Add(warmUp+counted)) && pause(sending, time.Until(due)) == nil; due = due.Add(interval) {
		if len(round) == 0 {
			round = rand.Perm(min(changed, s.objects))
		}
		c := sentChange{object: objectName(round[0])}
		round = round[1:]
		if due.Sub(begin) >= warmUp {
			c.stamp = due.UnixNano()
			sent = append(sent, c)
		}
		group.Go(func() error { return s.send(sending, c) })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("changing objects: %w", err)
	}
	return sent, pause(ctx, drainTime)
}

// send makes one change.
func (s *scene) send(ctx context.Context, c sentChange) error {
	annotations := map[string]string{order.Annotation: strconv.FormatInt(c.stamp, 10)}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().Pods(namespace).Patch(ctx, c.object, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// beside runs a program with an order, and the bare watch beside it, and returns the changes that
// came to them in work.
func (s *scene) beside(ctx context.Context, p program, o order.Order, work func(ctx context.Context, main *process) error) (own, bare []order.Sample, err error) {
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
	_, err = floor.await(ctx)
	if err == nil && o.Objects > 0 {
		_, err = main.await(ctx)
	}
	if err == nil {
		err = work(ctx, main)
	}
	if err := errors.Join(err, main.stop(), floor.stop()); err != nil {
		return nil, nil, err
	}
	if own, err = readSamples(o.Samples); err != nil {
		return nil, nil, err
	}
	bare, err = readSamples(watch.Samples)
	return own, bare, err
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

// arrival is how one change came to one definition; all times are nanoseconds since 1970.
type arrival struct {
	due           int64 // when it was to be sent
	seen          int64 // by the bare watch
	entered, done int64 // by the handler that got it
}

// arrivals are those of all changes at all definitions.
type arrivals struct {
	came []arrival
	// seen is how long each change took to the bare watch, in milliseconds.
	seen []float64
	// missing is how many never came to a definition, or to the bare watch, of how many that should
	// have.
	missing, of int
}

// pair finds out when each change came to each definition. A change that a newer one of the same
// object has overtaken came with that: the handler that got the newer one has taken notice of both.
// Which is newer says the order of the bare watch.
func pair(sent []sentChange, own, bare []order.Sample, definitions int) arrivals {
	seen := map[int64]int64{}
	for _, s := range bare {
		seen[s.Sent] = s.Entered
	}
	handled := make([]map[int64]order.Sample, definitions)
	for i := range handled {
		handled[i] = map[int64]order.Sample{}
	}
	for _, s := range own {
		handled[s.Definition][s.Sent] = s
	}
	got := arrivals{of: len(sent) * definitions}
	byObject := map[string][]sentChange{}
	for _, c := range sent {
		at, ok := seen[c.stamp]
		if !ok {
			got.missing += definitions
			continue
		}
		got.seen = append(got.seen, float64(at-c.stamp)/1e6)
		byObject[c.object] = append(byObject[c.object], c)
	}
	for _, changes := range byObject {
		slices.SortFunc(changes, func(a, b sentChange) int { return cmp.Compare(seen[b.stamp], seen[a.stamp]) }) // the newest first
		for _, samples := range handled {
			var next *order.Sample
			for _, c := range changes {
				if s, ok := samples[c.stamp]; ok {
					next = &s
				}
				if next == nil {
					got.missing++
					continue
				}
				got.came = append(got.came, arrival{due: c.stamp, seen: seen[c.stamp], entered: next.Entered, done: next.Done})
			}
		}
	}
	return got
}

// check fails if more is missing than can be tolerated.
func (a arrivals) check() error {
	if len(a.came) == 0 || float64(a.missing) > tolerated*float64(a.of) {
		return fmt.Errorf("%d of %d changes never came to their handler", a.missing, a.of)
	}
	return nil
}

// sorted returns a figure of each arrival in order of size.
func (a arrivals) sorted(of func(arrival) float64) []float64 {
	values := make([]float64, len(a.came))
	for i, c := range a.came {
		values[i] = of(c)
	}
	slices.Sort(values)
	return values
}
