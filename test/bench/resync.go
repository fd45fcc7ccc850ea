package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/test/bench/order"
)

// Settings of the row about resyncs: a handler that takes a while, and more resyncs than it can
// handle.
const (
	resyncTakes   = 10 * time.Millisecond
	resyncsPerSec = 2000
	resyncRate    = 20 // changes per second: one call is over long before the next change
	resyncWarmUp  = time.Second
	resyncWindow  = 25 * time.Second // how long changes are counted at most, before ageing and after it
	resyncsAge    = time.Duration(queue.Resync) * queue.DefaultAgeingPeriod
)

// Measures of the row.
const (
	measureBacklog     = "fewest objects queued meanwhile"
	measureHandled     = "p50, change to handled, in times of the handler"
	measureWorst       = "p99, change to handled, in times of the handler"
	measureHandledAged = "p50, the same after resyncs have waited 45 s"
	measureWorstAged   = "p99, the same after resyncs have waited 45 s"
)

// resyncRow is a row of changes that come while so many objects wait to be handled again. The time
// of a change counts from when the bare watch has it.
func resyncRow(queued int) row {
	// What has been handled is not queued before its next resync. That may take client-go two
	// periods, as its informers look at what is due once per period; kooperd takes one.
	f := fixture{shape: smallPods, objects: queued + queued/5 + 3*int(time.Second/resyncTakes)}
	o := order.Order{Kinds: []order.Kind{pods}, Definitions: 1, View: order.Typed, Work: order.Stamp, Takes: resyncTakes,
		Resync: min(max(time.Second, time.Duration(f.objects)*time.Second/resyncsPerSec), 6*time.Second)}
	return row{
		name: "resync", title: fmt.Sprintf("change behind %d queued resyncs, handler of %s", queued, resyncTakes), fixture: f,
		measured: []program{kooperd, manager},
		measures: []measure{
			{name: measureBacklog}, {name: measureHandled, unit: times},
			{name: measureWorst, unit: times, targets: []target{{factor: 2}}},
			{name: measureHandledAged, unit: times}, {name: measureWorstAged, unit: times},
			{name: measureMissing},
		},
		once: func(ctx context.Context, s *scene, p program) (readings, error) {
			return s.resyncs(ctx, p, o, float64(queued))
		},
	}
}

// resyncs changes objects behind a queue of resyncs, first before any of these has waited so long
// that it counts as a change, then when all that are at the head of the queue have.
func (s *scene) resyncs(ctx context.Context, p program, o order.Order, queued float64) (readings, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	o.Metrics = address
	var fresh, aged behind
	own, bare, err := s.beside(ctx, p, o, func(ctx context.Context, main *process) error {
		if err := awaitBacklog(ctx, p, o, queued); err != nil {
			return err
		}
		var err error
		if fresh, err = s.changeBehind(ctx, p, address, queued); err != nil {
			return err
		}
		ageing := main.started.Add(resyncsAge)
		if last := time.Unix(0, fresh.sent[len(fresh.sent)-1].stamp); last.After(ageing) {
			return fmt.Errorf("changing objects took until %s after resyncs had begun to age", last.Sub(ageing))
		}
		if err := pause(ctx, time.Until(ageing.Add(o.Resync+resyncWarmUp))); err != nil {
			return err
		}
		aged, err = s.changeBehind(ctx, p, address, queued)
		return err
	})
	if err != nil {
		return nil, err
	}
	return resyncReadings(p, min(fresh.fewest, aged.fewest), pair(fresh.sent, own, bare, 1), pair(aged.sent, own, bare, 1))
}

// resyncReadings returns how long changes took from the bare watch to the end of the handler.
func resyncReadings(p program, backlog float64, fresh, aged arrivals) (readings, error) {
	if err := errors.Join(fresh.check(), aged.check()); err != nil {
		return nil, err
	}
	took := func(a arrival) float64 { return float64(a.done-a.seen) / float64(a.done-a.entered) }
	return readings{p: {
		measureBacklog: backlog, measureMissing: float64(fresh.missing + aged.missing),
		measureHandled: quantile(fresh.sorted(took), 0.5), measureWorst: quantile(fresh.sorted(took), 0.99),
		measureHandledAged: quantile(aged.sorted(took), 0.5), measureWorstAged: quantile(aged.sorted(took), 0.99),
	}}, nil
}

// behind is what was sent, and how many objects were queued at least all the while.
type behind struct {
	sent   []sentChange
	fewest float64
}

// changeBehind changes objects for a while, and fails unless so many objects are queued all the
// time.
func (s *scene) changeBehind(ctx context.Context, p program, address string, queued float64) (behind, error) {
	got := behind{fewest: math.Inf(1)}
	watching, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		defer stop()
		got.sent, err = s.change(ctx, resyncRate, resyncWarmUp, min(s.latency, resyncWindow))
		return err
	})
	group.Go(func() error {
		for watching.Err() == nil {
			depth, err := scrape(ctx, address, depths[p])
			if err != nil {
				return err
			}
			got.fewest = min(got.fewest, depth)
			_ = pause(watching, 200*time.Millisecond) // It ends when all has been sent.
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		stop()
		return behind{}, err
	}
	if got.fewest < queued {
		return behind{}, fmt.Errorf("only %v objects were queued at a time, want %v", got.fewest, queued)
	}
	return got, nil
}

// depths are the series with the length of the queue.
var depths = map[program]string{kooperd: "kooper_controller_event_queue_length{", manager: "workqueue_depth{"}

// awaitBacklog waits until so many objects are queued.
func awaitBacklog(ctx context.Context, p program, o order.Order, queued float64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the queue has not filled up"))
	defer cancel()
	// Everything is queued at the start, too; a period later it is for the resync.
	if err := pause(ctx, o.Resync+o.Resync/2); err != nil {
		return err
	}
	for {
		depth, err := scrape(ctx, o.Metrics, depths[p])
		if err == nil && depth >= queued {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for %v queued objects, having %v: %w", queued, depth, err)
		}
	}
}

// scrape returns the sum of the series of /metrics that begin with prefix.
func scrape(ctx context.Context, address, prefix string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	defer resp.Body.Close()
	sum := 0.0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), prefix) {
			continue
		}
		value, err := strconv.ParseFloat(lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("reading metrics: %w", err)
		}
		sum += value
	}
	return sum, lines.Err()
}

// freeAddress returns an address that nothing listens at.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free address: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
