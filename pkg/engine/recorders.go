package engine

import (
	"context"
	"sync"

	"k8s.io/client-go/kubernetes/scheme"
	eventsv1 "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"

	"kooperd.dev/kooperd/pkg/config"
)

// recorders make the event recorders of handlers. All definitions behind the gate share one broadcaster, and all others
// another, as the broadcaster's client is what is gated.
type recorders struct {
	broadcasters map[bool]events.EventBroadcaster
}

func newRecorders() *recorders { return &recorders{broadcasters: map[bool]events.EventBroadcaster{}} }

func (r *recorders) recorder(def config.Controller, config *rest.Config) (events.EventRecorder, error) {
	b, ok := r.broadcasters[def.EveryReplica]
	if !ok {
		client, err := eventsv1.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		b = events.NewBroadcaster(&events.EventSinkImpl{Interface: client})
		r.broadcasters[def.EveryReplica] = b
	}
	return b.NewRecorder(scheme.Scheme, "kooperd.dev/"+def.Name), nil
}

// start sends what is recorded until ctx ends; the returned function waits for that.
func (r *recorders) start(ctx context.Context) (stop func()) {
	var sending sync.WaitGroup
	for _, b := range r.broadcasters {
		sending.Go(func() {
			_ = b.StartRecordingToSinkWithContext(ctx) // Fails only when the broadcaster has been shut down.
			<-ctx.Done()
			b.Shutdown()
		})
	}
	return sending.Wait
}
