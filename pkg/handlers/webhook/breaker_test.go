package webhook

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// fail makes n calls that fail, for these parents in turn, and returns the last pause.
func fail(t *testing.T, b *breaker, n int, connected bool, parents ...types.UID) (pause time.Duration) {
	t.Helper()
	for i := range n {
		e, wait := b.enter()
		if wait > 0 {
			t.Fatalf("call %d is refused for %s", i, wait)
		}
		pause, _ = b.failed(e, parents[i%len(parents)], connected)
	}
	return pause
}

func TestBreakerOpens(t *testing.T) {
	tests := map[string]struct {
		failures  int
		connected bool
		parents   []types.UID
		want      time.Duration
	}{
		"too few":                     {failuresToOpen - 1, true, []types.UID{"a", "b"}, 0},
		"of two parents":              {failuresToOpen, true, []types.UID{"a", "b"}, firstPause},
		"of one parent":               {10 * failuresToOpen, true, []types.UID{"a"}, 0},
		"of one, without connections": {failuresToOpen, false, []types.UID{"a"}, firstPause},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := &breaker{now: newClock().Now}
			if got := fail(t, b, tc.failures, tc.connected, tc.parents...); got != tc.want || b.refused() != tc.want {
				t.Errorf("the pause is %s, and %s are left; want %s", got, b.refused(), tc.want)
			}
		})
	}
}

func TestBreakerCountsFailuresInARow(t *testing.T) {
	b := &breaker{now: newClock().Now}
	for range 3 {
		if pause := fail(t, b, failuresToOpen-1, true, "a", "b"); pause > 0 {
			t.Fatalf("the pause is %s", pause)
		}
		e, _ := b.enter()
		b.succeeded(e)
	}
}

func TestBreakerProbes(t *testing.T) {
	c := newClock()
	b := &breaker{now: c.Now}
	late, _ := b.enter() // a call that is under way all the time
	pause := fail(t, b, failuresToOpen, true, "a", "b")
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if want *= time.Second; pause != want {
			t.Fatalf("the pause is %s, want %s", pause, want)
		}
		c.advance(pause - 1)
		if _, wait := b.enter(); wait != 1 {
			t.Fatalf("a call is refused for %s, want 1ns", wait)
		}
		c.advance(1)
		probe, wait := b.enter()
		if !probe.probe || wait > 0 {
			t.Fatalf("the probe is refused for %s", wait)
		}
		if _, wait := b.enter(); wait != firstPause {
			t.Fatalf("beside the probe, a call is refused for %s", wait)
		}
		if wait, opened := b.failed(late, "a", true); wait == 0 || opened || b.succeeded(late) {
			t.Fatal("a call that was sent before counts")
		}
		pause, _ = b.failed(probe, "a", true)
	}
	c.advance(pause)
	gone, _ := b.enter()
	b.abandoned(gone)
	probe, wait := b.enter()
	if wait > 0 || !b.succeeded(probe) || b.refused() > 0 {
		t.Errorf("the hook is refused for %s after a probe that went well", wait)
	}
	if pause := fail(t, b, failuresToOpen, true, "a", "b"); pause != firstPause {
		t.Errorf("the next pause is %s, want %s", pause, firstPause)
	}
}

// A hook that is down is not called for a while, is named as what is wrong, and is called again by
// itself.
func TestHookDown(t *testing.T) {
	var calls atomic.Int32
	var broken atomic.Bool
	broken.Store(true)
	server := serve(t, func(w http.ResponseWriter, req *http.Request) {
		calls.Add(1)
		if broken.Load() {
			answer(http.StatusBadGateway, "")(w, req)
			return
		}
		answer(http.StatusOK, "{}")(w, req)
	})
	r := newRig(t, server)
	parents := []types.UID{"a", "b", "c"}
	var last error
	for i := range failuresToOpen {
		_, last = r.sync(t.Context(), parents[i%3], "{}")
		if got := handlers.IsUnavailable(last); got != (i == failuresToOpen-1) {
			t.Errorf("after %d failures, err = %v; unavailable: %t", i+1, last, got)
		}
	}
	for range 3 {
		_, err := r.sync(t.Context(), "d", "{}")
		delay, _ := handlers.RetryDelay(err)
		if !handlers.IsUnavailable(err) || delay != firstPause || err.Error() != last.Error() {
			t.Errorf("err = %v, again after %s", err, delay)
		}
	}
	if calls.Load() != failuresToOpen {
		t.Errorf("the hook was called %d times, want %d", calls.Load(), failuresToOpen)
	}
	r.wantCount(t, outcomeNotSent, 3)
	r.wantOpen(t, 1)
	if !strings.HasSuffix(last.Error(), "/sync: answered 502 Bad Gateway") {
		t.Errorf("err = %v", last)
	}

	broken.Store(false)
	r.clock.advance(firstPause)
	if _, err := r.sync(t.Context(), "d", "{}"); err != nil {
		t.Errorf("the probe ends with %v", err)
	}
	r.wantOpen(t, 0)
	var messages []string
	for _, entry := range r.logs.Entries() {
		messages = append(messages, entry.Message)
	}
	if got := strings.Join(messages, "; "); got != "hook fails again and again, and is not called for a while; hook answers again" {
		t.Errorf("logged: %s", got)
	}
}

func TestAnswersOfAnyKindCloseTheBreaker(t *testing.T) {
	for _, status := range []int{400, 404, 429, 302} {
		server := serve(t, answer(status, ""))
		r := newRig(t, server)
		for range 3 * failuresToOpen {
			if _, err := r.sync(t.Context(), types.UID(t.Name()), "{}"); err == nil || handlers.IsUnavailable(err) {
				t.Errorf("status %d: err = %v", status, err)
			}
		}
	}
}

// A request that ends in a panic of ours leaves the hook as it was: it is called again, and nothing
// seems to be under way.
func TestAPanicEndsAProbe(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	server := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if broken.Load() {
			answer(http.StatusBadGateway, "")(w, req)
			return
		}
		answer(http.StatusOK, "{}")(w, req)
	})
	r := newRig(t, server)
	for i := range failuresToOpen {
		_, _ = r.sync(t.Context(), types.UID(strconv.Itoa(i)), "{}") // It fails.
	}
	r.clock.advance(firstPause)
	transport := r.transports.acquire()
	r.transports.release(transport)
	transport.Proxy = func(*http.Request) (*url.URL, error) { panic("as the test wants") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone, and nothing would tell of it")
			}
		}()
		_, _ = r.sync(t.Context(), "a", "{}") // It panics.
	}()
	r.wantCount(t, outcomeNotSent, 1)
	r.wantInFlight(t, 0)
	transport.Proxy = nil
	broken.Store(false)
	if _, err := r.sync(t.Context(), "a", "{}"); err != nil {
		t.Errorf("the next probe ends with %v", err)
	}
	r.wantOpen(t, 0)
}
