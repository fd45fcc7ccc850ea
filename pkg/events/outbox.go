package events

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
)

const (
	// countEvery is after how long the count of an event that is recorded again and again is
	// written.
	countEvery = 10 * time.Minute
	// maxKept is how many events of a definition are remembered, and maxQueued how many of one type
	// may wait to be written.
	maxKept   = 1000
	maxQueued = 1000
)

// outbox has the events of one definition that are to be written, and remembers those that were. It
// is safe for concurrent use.
type outbox struct {
	definition string
	logger     logr.Logger
	refused    func(error) bool
	budget     *Budget

	mu      sync.Mutex
	client  eventsclient.EventsV1Interface
	dropped func(Drop) // not nil once there is a client
	queues  [2]queue   // of warnings, and of all others
	kept    map[string]*entry
	order   []*entry // the kept ones, the oldest first
	sending bool
	wake    chan struct{} // for who sends, and waits until the next entry is due
	leaving *time.Timer   // closes it; nil while the definition is there
	closed  bool
}

// entry is one event.
type entry struct {
	event  *eventsv1.Event // as it was recorded first
	count  int32           // how often it was recorded
	last   time.Time       // when it was recorded last
	queued bool
	due    time.Time // before that, no count is written
	there  bool      // the API server has had it
	again  retry
}

func newOutbox(opts Options, definition string) *outbox {
	return &outbox{
		definition: definition, logger: opts.Logger.WithValues("controller", definition), refused: opts.Refused,
		budget: NewBudget(), kept: map[string]*entry{}, wake: make(chan struct{}, 1),
	}
}

// keep sets the client and who is told of what is dropped, and ends a leave. It returns false when
// the outbox is closed.
func (o *outbox) keep(client eventsclient.EventsV1Interface, dropped func(Drop)) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.client, o.dropped = client, dropped
	if o.leaving != nil {
		o.leaving.Stop()
		o.leaving = nil
	}
	return !o.closed
}

// closeAfter closes the outbox after d unless it is kept before, and then calls closed.
func (o *outbox) closeAfter(d time.Duration, closed func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leaving != nil || o.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		o.mu.Lock()
		over := o.leaving == timer
		if over {
			o.empty()
		}
		o.mu.Unlock()
		if over {
			closed()
		}
	})
	o.leaving = timer
}

func (o *outbox) isLeaving() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leaving != nil
}

// close drops everything, for good.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leaving != nil {
		o.leaving.Stop()
	}
	o.empty()
}

// empty is close with o.mu held.
func (o *outbox) empty() {
	o.closed, o.queues, o.order = true, [2]queue{}, nil
	clear(o.kept)
	awake(o.wake)
}

// add takes an event, and reports whether there is something to write. One that is limited is left
// out when there are too many, and its count is not written each time.
func (o *outbox) add(event *eventsv1.Event, limited bool) bool {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	e, again := o.kept[event.Name], true
	if e == nil {
		e, again = &entry{event: event}, false
	}
	if e.queued {
		e.count, e.last = e.count+1, now
		return false
	}
	early := again && limited && now.Before(e.due)
	if early || limited && !o.budget.Take(objectOf(event), event.Type, !again, now) {
		if e.last = now; again {
			e.count++
		} else {
			o.leaveOut(event, DropBudget)
		}
		return false
	}
	queue := &o.queues[queueOf(event)]
	if len(*queue) >= maxQueued {
		o.leaveOut(event, DropQueue)
		return false
	}
	e.count, e.last, e.queued, e.due = e.count+1, now, true, now.Add(countEvery)
	*queue = append(*queue, e)
	if !again {
		o.remember(e)
	}
	awake(o.wake)
	return true
}

// leaveOut notes that there are too many events for one more. o.mu is held.
func (o *outbox) leaveOut(event *eventsv1.Event, why Drop) {
	o.dropped(why)
	o.logger.V(1).Info("left out an event: there are too many", "event", event.Reason, "type", event.Type)
}

func queueOf(event *eventsv1.Event) int {
	if event.Type == corev1.EventTypeWarning {
		return 0
	}
	return 1
}

// remember keeps an event, in place of the oldest one where there are too many. o.mu is held.
func (o *outbox) remember(e *entry) {
	o.kept[e.event.Name] = e
	if o.order = append(o.order, e); len(o.order) > maxKept {
		delete(o.kept, o.order[0].event.Name)
		o.order[0] = nil
		o.order = o.order[1:]
	}
}

// begin reports whether somebody has to call send.
func (o *outbox) begin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sending || o.closed || len(o.queues[0])+len(o.queues[1]) == 0 {
		return false
	}
	o.sending = true
	return true
}

// send writes what is there, warnings first, until there is nothing more, now and later.
func (o *outbox) send(ctx context.Context) {
	for {
		e, client, wait := o.next(ctx)
		switch {
		case e != nil:
			o.write(ctx, client, e)
		case wait <= 0:
			return
		default:
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-o.wake:
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// next takes an event that is due out of a queue. Where there is none, it returns how long to wait
// for one, which is 0 when there is none at all, or no time left.
func (o *outbox) next(ctx context.Context) (*entry, eventsclient.EventsV1Interface, time.Duration) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	var wait time.Duration
	for i := range o.queues {
		if ctx.Err() != nil {
			break
		}
		e, due := o.queues[i].take(now)
		if e != nil {
			return e, o.client, 0
		}
		if left := due.Sub(now); !due.IsZero() && (wait == 0 || left < wait) {
			wait = left
		}
	}
	o.sending = wait > 0
	return nil, nil, wait
}

// series is what is to be written of an entry.
func (o *outbox) series(e *entry) (*eventsv1.EventSeries, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &eventsv1.EventSeries{Count: e.count, LastObservedTime: metav1.NewMicroTime(e.last)}, e.there
}

// wrote notes that the API server has an event, which was counted so often before this process.
func (o *outbox) wrote(e *entry, before int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e.there, e.again = true, retry{}
	e.count += before
}

// lost notes that the API server does not have an event any more.
func (o *outbox) lost(e *entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e.there = false
}

// seriesPatch is the JSON merge patch that sets a series.
func seriesPatch(series *eventsv1.EventSeries) []byte {
	body, err := json.Marshal(map[string]any{"series": series})
	if err != nil {
		panic(err) // It is a number and a time.
	}
	return body
}
