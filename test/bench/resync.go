package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kooperd.dev/kooperd/test/bench/order"
)

// Settings of the row about resyncs: a handler that takes a while, and more resyncs than it can handle.
const (
	resyncTakes   = 10 * time.Millisecond
	resyncsPerSec = 2000
	resyncRate    = 5 // changes per second
)

// Measures of the row.
const (
	measureBacklog = "objects queued before the first change"
	measureHandled = "p50, change to handled, in times of the handler"
	measureWorst   = "p99, change to handled, in times of the handler"
)

// resyncRow is a row of changes that come while everything waits to be handled again. The time of a change counts from when
// the bare watch has it.
func resyncRow(f fixture) row {
	o := order.Order{Kinds: []order.Kind{pods}, Definitions: 1, View: order.Typed, Work: order.Stamp, Takes: resyncTakes,
		Resync: max(time.Second, time.Duration(f.objects)*time.Second/resyncsPerSec)}
	return row{
		name: "resync", title: fmt.Sprintf("change behind %d queued resyncs, handler of %s", f.objects, resyncTakes), fixture: f,
		measured: []program{kooperd, manager},
		measures: []measure{
			{name: measureBacklog}, {name: measureHandled, unit: times},
			{name: measureWorst, unit: times, targets: []target{{factor: 2}}},
		},
		once: func(ctx context.Context, s *scene, p program) (readings, error) {
			var backlog float64
			o := o
			var err error
			if o.Metrics, err = freeAddress(ctx); err != nil {
				return nil, err
			}
			own, bare, err := s.beside(ctx, p, o, func(ctx context.Context) error {
				if backlog, err = awaitBacklog(ctx, p, o, f.objects); err != nil {
					return err
				}
				return s.change(ctx, resyncRate, s.latency)
			})
			if err != nil {
				return nil, err
			}
			return resyncReadings(p, backlog, own, bare)
		},
	}
}

// resyncReadings tells how long changes took from the bare watch to the end of the handler.
func resyncReadings(p program, backlog float64, own, bare []order.Sample) (readings, error) {
	seen := map[int64]int64{}
	for _, s := range bare {
		seen[s.Sent] = s.Entered
	}
	var matched []order.Sample
	for _, s := range own {
		if at, ok := seen[s.Sent]; ok {
			s.Sent = at
			matched = append(matched, s)
		}
	}
	if len(matched) == 0 {
		return nil, fmt.Errorf("comparing with the bare watch: of %d changes, %d have been handled, and none of both", len(bare), len(own))
	}
	took := sorted(matched, func(s order.Sample) float64 { return float64(s.Done-s.Sent) / float64(s.Done-s.Entered) })
	return readings{p: {measureBacklog: backlog, measureHandled: quantile(took, 0.5), measureWorst: quantile(took, 0.99)}}, nil
}

// depths are the series with the length of the queue.
var depths = map[program]string{kooperd: "kooper_controller_event_queue_length{", manager: "workqueue_depth{"}

// awaitBacklog waits until nearly all objects are queued, less what is handled meanwhile, and returns how many are.
func awaitBacklog(ctx context.Context, p program, o order.Order, objects int) (float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the queue has not filled up"))
	defer cancel()
	enough := 0.8 * float64(objects)
	// Everything is queued at the start, too; a period later it is for the resync.
	if err := pause(ctx, o.Resync+o.Resync/2); err != nil {
		return 0, err
	}
	for {
		depth, err := scrape(ctx, o.Metrics, depths[p])
		if err == nil && depth >= enough {
			return depth, nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("waiting for %d queued objects, having %v: %w", objects, depth, err)
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

// freeAddress returns an address that nobody listens at.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free address: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
