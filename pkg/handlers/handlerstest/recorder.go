package handlerstest

import (
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
)

// Event is one Kubernetes event as a handler recorded it.
type Event struct {
	// Regarding is the object the event is about, as Kind namespace/name.
	Regarding string
	// Type is Normal or Warning.
	Type string
	// Reason is the short machine-readable reason.
	Reason string
	// Action is what was done.
	Action string
	// Note is the text, with its arguments filled in.
	Note string
}

// Recorder keeps the events recorded with it. Its zero value is ready for use, and it is safe for
// concurrent use.
type Recorder struct {
	mu     sync.Mutex
	events []Event
}

var _ events.EventRecorder = (*Recorder)(nil)

// Eventf records an event.
func (r *Recorder) Eventf(regarding, _ runtime.Object, eventtype, reason, action, note string, args ...any) {
	e := Event{Type: eventtype, Reason: reason, Action: action, Note: fmt.Sprintf(note, args...)}
	if m, err := meta.Accessor(regarding); err == nil {
		e.Regarding = fmt.Sprintf("%s %s/%s", regarding.GetObjectKind().GroupVersionKind().Kind, m.GetNamespace(), m.GetName())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Events returns what was recorded so far, in order. The slice is the caller's own.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}
