package engine

import (
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	clientevents "k8s.io/client-go/tools/events"

	"kooperd.dev/kooperd/pkg/events"
	"kooperd.dev/kooperd/pkg/kube"
)

// newRecorders returns what writes the events of the definitions of each group. Each event is sent
// by the client of its definition, through the gate of the group and with the definition's user
// agent. A definition that moves to the other group has recorders of both: what a handler under the
// lease has recorded never goes past the gate.
func newRecorders(logger logr.Logger) map[Group]*events.Writer {
	opts := events.Options{Logger: logger, Refused: func(err error) bool { return errors.Is(err, kube.ErrNotLeading) }}
	return map[Group]*events.Writer{UnderLease: events.NewWriter(opts), EveryReplica: events.NewWriter(opts)}
}

// recorder returns the recorder of the events of a revision. What a composer has to say has a
// budget already.
func (c *controller) recorder(r *revision, config *rest.Config) (clientevents.EventRecorder, error) {
	client, err := eventsclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for events of %s: %w", c.name, err)
	}
	writer, dropped := c.recorders[r.group], func(why events.Drop) { c.metrics.EventDropped(string(why)) }
	if r.composing == nil {
		return writer.Recorder(c.name, client, dropped), nil
	}
	return writer.ChangeRecorder(c.name, client, dropped), nil
}
