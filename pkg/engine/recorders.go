package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"

	"kooperd.dev/kooperd/pkg/kube"
)

// reporter is what every event's reportingController begins with; the definition's name follows.
const reporter = "kooperd.dev/"

// eventGrace is how long the events that a definition has recorded may take after its end. It is
// time for one more try, as client-go waits 10 to 12.5 seconds before that.
const eventGrace = 15 * time.Second

// recorders make the event recorders of the handlers of one group. They share one broadcaster. Each
// event is sent by the client of its definition, through the gate of the group and with the
// definition's user agent. A definition that moves to the other group has the recorders of both:
// what a handler under the lease has recorded never goes past the gate.
type recorders struct {
	broadcaster events.EventBroadcaster
	sink        *eventSink
}

func newRecorders() *recorders {
	sink := &eventSink{clients: map[string]eventsclient.EventsV1Interface{}, leaving: map[string]*time.Timer{}}
	return &recorders{broadcaster: events.NewBroadcaster(sink), sink: sink}
}

func (r *recorders) recorder(definition string, config *rest.Config) (events.EventRecorder, error) {
	client, err := eventsclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for events of %s: %w", definition, err)
	}
	r.sink.add(definition, client)
	return r.broadcaster.NewRecorder(scheme.Scheme, reporter+definition), nil
}

// remove forgets a definition, after the time that the last of its events may take.
func (r *recorders) remove(definition string) { r.sink.removeAfter(definition, eventGrace) }

// run sends what is recorded until ctx ends.
func (r *recorders) run(ctx context.Context) {
	_ = r.broadcaster.StartRecordingToSinkWithContext(ctx) // Fails only when the broadcaster has been shut down.
	<-ctx.Done()
	r.broadcaster.Shutdown()
	r.sink.removeLeaving()
}

// eventSink sends events. A refusal by the gate becomes an answer after which client-go does not
// try again: what a former leader had to say is not worth a queue.
type eventSink struct {
	mu      sync.Mutex
	clients map[string]eventsclient.EventsV1Interface // by definition
	leaving map[string]*time.Timer                    // by definition; each removes its client
}

// add sets the client of a definition, which may have been leaving.
func (s *eventSink) add(definition string, client eventsclient.EventsV1Interface) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if timer := s.leaving[definition]; timer != nil {
		timer.Stop()
		delete(s.leaving, definition)
	}
	s.clients[definition] = client
}

// removeAfter removes the client of a definition after d, unless one is added before.
func (s *eventSink) removeAfter(definition string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[definition] == nil || s.leaving[definition] != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.leaving[definition] == timer {
			delete(s.leaving, definition)
			delete(s.clients, definition)
		}
	})
	s.leaving[definition] = timer
}

// removeLeaving removes at once what is about to be removed.
func (s *eventSink) removeLeaving() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for definition, timer := range s.leaving {
		timer.Stop()
		delete(s.clients, definition)
	}
	clear(s.leaving)
}

var _ events.EventSink = (*eventSink)(nil)

func (s *eventSink) of(event *eventsv1.Event) (eventsclient.EventInterface, error) {
	s.mu.Lock()
	client, ok := s.clients[strings.TrimPrefix(event.ReportingController, reporter)]
	s.mu.Unlock()
	if !ok {
		return nil, unsendable(fmt.Sprintf("sending an event: unknown reporting controller %q", event.ReportingController))
	}
	return client.Events(event.Namespace), nil
}

func (s *eventSink) Create(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	client, err := s.of(event)
	if err != nil {
		return nil, err
	}
	created, err := client.Create(ctx, event, metav1.CreateOptions{})
	return created, final(err)
}

func (s *eventSink) Update(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	client, err := s.of(event)
	if err != nil {
		return nil, err
	}
	updated, err := client.Update(ctx, event, metav1.UpdateOptions{})
	return updated, final(err)
}

func (s *eventSink) Patch(ctx context.Context, event *eventsv1.Event, data []byte) (*eventsv1.Event, error) {
	client, err := s.of(event)
	if err != nil {
		return nil, err
	}
	patched, err := client.Patch(ctx, event.Name, "application/strategic-merge-patch+json", data, metav1.PatchOptions{})
	return patched, final(err)
}

func final(err error) error {
	if !errors.Is(err, kube.ErrNotLeading) {
		return err
	}
	return unsendable(err.Error())
}

// unsendable is an error after which client-go does not send the event again.
func unsendable(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: message,
	}}
}
