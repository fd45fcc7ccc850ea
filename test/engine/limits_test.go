package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestStuckCallsLeaveRoomForOthers lets one definition have calls that do not end and fifty workers
// to make more of them. Of three calls that are allowed for it gets two; the third serves the other
// definition, whose objects are all handled.
func TestStuckCallsLeaveRoomForOthers(t *testing.T) {
	const objects, most = 12, 3
	release := make(chan struct{})
	var running, highest, stuck atomic.Int32
	r := start(t, options{
		engine: fmt.Sprintf("maxConcurrent: %d", most),
		definitions: `stuck: {` + watchConfigMaps + `, mode: "concurrent", workers: 50, handler: test: {}}` + "\n" +
			`other: {` + watchConfigMaps + `, mode: "concurrent", workers: 4, handler: test: {}}`,
		handle: func(_ context.Context, env handlers.Env, _ handlers.Request) (handlers.Result, error) {
			now := running.Add(1)
			defer running.Add(-1)
			for old := highest.Load(); now > old && !highest.CompareAndSwap(old, now); old = highest.Load() {
			}
			if env.Definition == "stuck" {
				stuck.Add(1)
				<-release
			}
			return handlers.Result{}, nil
		},
	})
	for i := range objects {
		r.create(t, fmt.Sprintf("object-%d", i))
	}
	r.await(t, "two stuck calls", func() bool { return stuck.Load() == 2 })
	r.awaitCalls(t, "other", objects)
	for i := range objects {
		r.change(t, fmt.Sprintf("object-%d", i), "1")
	}
	r.awaitCalls(t, "other", 2*objects)
	if got := stuck.Load(); got != 2 {
		t.Errorf("the stuck definition has %d calls under way, want 2", got)
	}
	r.throttled(t, "stuck", "maxConcurrent", func(seconds float64) bool { return seconds > 0 })
	close(release)
	r.await(t, "every object handled by the definition that was stuck", func() bool {
		handled := map[string]bool{}
		for _, c := range r.of("stuck") {
			handled[c.object] = true
		}
		return len(handled) == objects
	})
	if got := highest.Load(); got > most {
		t.Errorf("%d calls were under way at a time, want at most %d", got, most)
	}
}

// TestRateBoundsCalls has more workers and objects than the rate allows for, and compares every
// span of time with it.
func TestRateBoundsCalls(t *testing.T) {
	const objects, perSecond, burst, workers = 15, 20, 4, 6
	r := start(t, options{
		definitions: `rated: {` + watchConfigMaps + fmt.Sprintf(`, mode: "concurrent", workers: %d, rate: {perSecond: %d, burst: %d}, handler: test: {}}`, workers, perSecond, burst) +
			"\n" + `free: {` + watchConfigMaps + `, handler: test: {}}`,
		handle: func(_ context.Context, env handlers.Env, req handlers.Request) (handlers.Result, error) {
			if env.Definition == "rated" && req.Attempt < 2 {
				return handlers.Result{}, fmt.Errorf("attempt %d", req.Attempt)
			}
			return handlers.Result{}, nil
		},
	})
	r.create(t, names(objects)...) // together, or the rate would be that of their creation
	calls := r.awaitCalls(t, "rated", 3*objects)
	for i := range calls {
		for j := i; j < len(calls); j++ {
			span := calls[j].at.Sub(calls[i].at)
			// On a machine that stands still, a call is noted long after it has begun: one of each
			// worker at most.
			if allowed := burst + workers + perSecond*span.Seconds(); float64(j-i+1) > allowed {
				t.Fatalf("%d calls within %s, want at most %.1f", j-i+1, span, allowed)
			}
		}
	}
	r.throttled(t, "rated", "rate", func(seconds float64) bool { return seconds > 0 })
}

// throttled fails the test when the time for which a limit has kept a definition waiting is not as
// wanted.
func (r *rig) throttled(t *testing.T, definition, limit string, want func(seconds float64) bool) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "kooperd_controller_throttled_seconds_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range m.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["controller"] == definition && labels["limit"] == limit {
				if got := m.GetCounter().GetValue(); !want(got) {
					t.Errorf("%s was throttled by %s for %v seconds", definition, limit, got)
				}
				return
			}
		}
	}
	t.Errorf("there is no time for which %s was throttled by %s", definition, limit)
}
