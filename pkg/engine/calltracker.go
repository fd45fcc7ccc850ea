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
	running map[*trackedCall]struct{}
	overdue map[*trackedCall]struct{} // of those that are running
	timer   *time.Timer               // nil before the first call
	due     time.Time                 // when the timer fires; zero while it is not set
}

// trackedCall is one call under way. While a definition changes from one kind to another, there may
// be two for objects of the same name.
type trackedCall struct {
	plugin   string
	function string
	key      kube.Key
	begun    time.Time
	limit    time.Duration // after which it is overdue
}

func (c *trackedCall) object() string { return telemetry.ObjectName(c.key.Namespace, c.key.Name) }

func newCallTracker(changed func()) *callTracker {
	return &callTracker{
		changed: changed, running: map[*trackedCall]struct{}{}, overdue: map[*trackedCall]struct{}{},
	}
}

// begin notes the beginning of a call with a timeout; end must follow.
func (t *callTracker) begin(plugin, function string, key kube.Key, begun time.Time, timeout time.Duration) *trackedCall {
	call := &trackedCall{plugin: plugin, function: function, key: key, begun: begun, limit: timeout + overdueGrace}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running[call] = struct{}{}
	if t.due.IsZero() || begun.Add(call.limit).Before(t.due) { // Another revision may have another timeout.
		t.setTimer(call.limit)
	}
	return call
}

// end notes that a call has returned.
func (t *callTracker) end(call *trackedCall) {
	t.mu.Lock()
	_, late := t.overdue[call]
	delete(t.overdue, call)
	delete(t.running, call)
	t.mu.Unlock()
	if late {
		t.changed()
	}
}

// setTimer is called with the lock held.
func (t *callTracker) setTimer(d time.Duration) {
	t.due = time.Now().Add(d)
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
	for call := range t.running {
		if _, known := t.overdue[call]; known {
			continue
		}
		left := call.limit - time.Since(call.begun)
		switch {
		case left <= 0:
			t.overdue[call], found = struct{}{}, true
		case next == 0 || left < next:
			next = left
		}
	}
	if t.due = (time.Time{}); next > 0 {
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
	t.due = time.Time{}
}

// times returns the sum of the times that calls under way have taken so far, and the longest.
func (t *callTracker) times() (sum, longest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for call := range t.running {
		took := time.Since(call.begun)
		sum += took
		longest = max(longest, took)
	}
	return sum, longest
}

// names says which objects are being handled: "the exec handler's Handle for ns/name".
func (t *callTracker) names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := make([]string, 0, len(t.running))
	for call := range t.running {
		names = append(names, fmt.Sprintf("the %s handler's %s for %s", call.plugin, call.function, call.object()))
	}
	return names
}

// number returns how many calls are under way.
func (t *callTracker) number() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.running)
}

// begun returns since when an object is being handled; false if it is not.
func (t *callTracker) begun(key kube.Key) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for call := range t.running {
		if call.key == key {
			return call.begun, true
		}
	}
	return time.Time{}, false
}

// describe says how many calls are overdue, with the one for an example that began first, or
// nothing.
func (t *callTracker) describe() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var first *trackedCall
	for call := range t.overdue {
		if first == nil || call.begun.Before(first.begun) {
			first = call
		}
	}
	if first == nil {
		return ""
	}
	return fmt.Sprintf("%d call(s) ignore the deadline; %s is being handled since %s",
		len(t.overdue), first.object(), first.begun.UTC().Format(time.RFC3339))
}
