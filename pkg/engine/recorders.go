package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

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

// recorders make the event recorders of the handlers of one group. They share one broadcaster. Each
// event is sent by the client of its definition, through the gate of the group and with the
// definition's user agent. A definition that moves to the other group has the recorders of both:
// what a handler under the lease has recorded never goes past the gate.
type recorders struct {
	broadcaster events.EventBroadcaster
	sink        *eventSink
}

func newRecorders() *recorders {
	sink := &eventSink{clients: map[string]eventsclient.EventsV1Interface{}}
	return &recorders{broadcaster: events.NewBroadcaster(sink), sink: sink}
}

func (r *recorders) recorder(definition string, config *rest.Config) (events.EventRecorder, error) {
	client, err := eventsclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for events of %s: %w", definition, err)
	}
	r.sink.mu.Lock()
	defer r.sink.mu.Unlock()
	r.sink.clients[definition] = client
	return r.broadcaster.NewRecorder(scheme.Scheme, reporter+definition), nil
}

// remove forgets a definition. Events of it that have not been sent yet are lost.
func (r *recorders) remove(definition string) {
	r.sink.mu.Lock()
	defer r.sink.mu.Unlock()
	delete(r.sink.clients, definition)
}

// run sends what is recorded until ctx ends.
func (r *recorders) run(ctx context.Context) {
	_ = r.broadcaster.StartRecordingToSinkWithContext(ctx) // Fails only when the broadcaster has been shut down.
	<-ctx.Done()
	r.broadcaster.Shutdown()
}

// eventSink sends events. A refusal by the gate becomes an answer after which client-go does not
// try again: what a former leader had to say is not worth a queue.
type eventSink struct {
	mu      sync.Mutex
	clients map[string]eventsclient.EventsV1Interface // by definition
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
