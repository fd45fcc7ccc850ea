package daemon

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
)

// leaseEventTimeout bounds the writing of one event, and so what it adds to a stop without a
// network.
const leaseEventTimeout = time.Second

// leaseEventsAtOnce is how many events are being written at most. Each term has two or three; more
// are waiting only when requests do not end, as while a credential plugin hangs, and would wait in
// vain.
const leaseEventsAtOnce = 8

// leaseEvents records events on the lock object, which `kubectl describe` shows. They are written
// in the background, one try each: they inform, and nothing depends on them. It is safe for
// concurrent use.
type leaseEvents struct {
	client   eventsclient.EventsV1Interface
	identity string
	logger   logr.Logger

	slots     chan struct{} // one for each event being written
	writing   sync.WaitGroup
	mu        sync.Mutex
	regarding corev1.ObjectReference
}

func newLeaseEvents(config *rest.Config, identity string, logger logr.Logger) (*leaseEvents, error) {
	client, err := eventsclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for the lease's events: %w", err)
	}
	return &leaseEvents{client: client, identity: identity, logger: logger, slots: make(chan struct{}, leaseEventsAtOnce)}, nil
}

// about names the lock object of all further events.
func (e *leaseEvents) about(object corev1.ObjectReference) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.regarding = object
}

// record writes an event; kind is corev1.EventTypeNormal or EventTypeWarning.
func (e *leaseEvents) record(kind, reason, action, note string) {
	e.mu.Lock()
	regarding := e.regarding
	e.mu.Unlock()
	now := metav1.NowMicro()
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: regarding.Namespace,
			Name:      regarding.Name + "." + strconv.FormatInt(now.UnixNano(), 16),
		},
		EventTime: now, Type: kind, Reason: reason, Action: action, Note: note, Regarding: regarding,
		ReportingController: "kooperd.dev/kooperd", ReportingInstance: shorten(e.identity, 128),
	}
	select {
	case e.slots <- struct{}{}:
	default:
		e.logger.V(1).Info("not writing an event on the lease: earlier ones are still being written", "eventReason", reason)
		return
	}
	e.writing.Go(func() {
		defer func() { <-e.slots }()
		ctx, cancel := context.WithTimeout(context.Background(), leaseEventTimeout) //nolint:forbidigo // outlives the term that it is about
		defer cancel()
		if _, err := e.client.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
			e.logger.V(1).Info("writing an event on the lease did not succeed", "eventReason", reason, "err", err.Error())
		}
	})
}

// wait returns when nothing is being written any more. It has no bound: a request obeys no context
// while a credential plugin hangs.
func (e *leaseEvents) wait() { e.writing.Wait() }

func shorten(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "")
	}
	return s
}
