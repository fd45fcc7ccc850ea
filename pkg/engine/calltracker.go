package engine

import (
	"fmt"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// overdueGrace is how long a call may take to notice its deadline before it makes its definition
// Degraded.
const overdueGrace = 10 * time.Second

// callTracker knows the calls of a definition that are under way, and finds those that ignore their
// deadline. All calls share one timer, which mostly finds that those it was set for have returned.
type callTracker struct {
	changed func() // called when a call has become overdue, or has returned at last

	mu      sync.Mutex
	running map[kube.Key]trackedCall
	overdue map[kube.Key]time.Time // when those that are overdue began
	timer   *time.Timer            // nil before the first call
	set     bool                   // whether the timer is set
}

// trackedCall is one call under way.
type trackedCall struct {
	begun time.Time
	limit time.Duration // after which it is overdue
}

func newCallTracker(changed func()) *callTracker {
	return &callTracker{
		changed: changed, running: map[kube.Key]trackedCall{}, overdue: map[kube.Key]time.Time{},
	}
}

// begin notes the beginning of a call with a timeout; end must follow.
func (t *callTracker) begin(key kube.Key, begun time.Time, timeout time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := timeout + overdueGrace
	t.running[key] = trackedCall{begun: begun, limit: limit}
	if !t.set {
		t.setTimer(limit)
	}
}

// end notes that the call for key has returned.
func (t *callTracker) end(key kube.Key) {
	t.mu.Lock()
	_, late := t.overdue[key]
	delete(t.overdue, key)
	delete(t.running, key)
	t.mu.Unlock()
	if late {
		t.changed()
	}
}

// setTimer is called with the lock held.
func (t *callTracker) setTimer(d time.Duration) {
	t.set = true
	if t.timer == nil {
		t.timer = time.AfterFunc(d, t.findOverdue)
		return
	}
	t.timer.Reset(d)
}

// findOverdue is called by the timer.
func (t *callTracker) findOverdue() {
	t.mu.Lock()
	next, found := time.Duration(0), false
	for key, call := range t.running {
		if _, known := t.overdue[key]; known {
			continue
		}
		left := call.limit - time.Since(call.begun)
		switch {
		case left <= 0:
			t.overdue[key], found = call.begun, true
		case next == 0 || left < next:
			next = left
		}
	}
	if t.set = next > 0; t.set {
		t.setTimer(next)
	}
	t.mu.Unlock()
	if found {
		t.changed()
	}
}

// stop stops the timer. It is called when no call is under way.
func (t *callTracker) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
	t.set = false
}

// times returns the sum of the times that calls under way have taken so far, and the longest.
func (t *callTracker) times() (sum, longest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, call := range t.running {
		took := time.Since(call.begun)
		sum += took
		longest = max(longest, took)
	}
	return sum, longest
}

// names returns the names of the objects that are being handled.
func (t *callTracker) names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := make([]string, 0, len(t.running))
	for key := range t.running {
		names = append(names, telemetry.ObjectName(key.Namespace, key.Name))
	}
	return names
}

// describe says how many calls are overdue, with one for an example, or nothing.
func (t *callTracker) describe() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, since := range t.overdue {
		return fmt.Sprintf("%d call(s) ignore the deadline; %s is being handled since %s", len(t.overdue),
			telemetry.ObjectName(key.Namespace, key.Name), since.UTC().Format(time.RFC3339))
	}
	return ""
}
