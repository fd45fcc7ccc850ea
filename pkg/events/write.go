package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
)

// tryTimeout bounds one try.
const tryTimeout = 30 * time.Second

// write tries to write one event. When that may help, it is tried again later: nothing waits here.
func (o *outbox) write(ctx context.Context, client eventsclient.EventsV1Interface, e *entry) {
	err := o.try(ctx, client, e)
	switch {
	case err == nil, ctx.Err() != nil:
	case o.refused(err):
		o.logger.V(1).Info("an event was refused", "event", e.event.Reason, "err", err.Error())
		o.giveUp(e, DropRefused, true)
	case !passing(err): // It would be refused again, so it is no reason for more requests.
		o.logger.V(1).Info("an event was refused", "event", e.event.Reason, "err", err.Error())
		o.giveUp(e, DropRefused, false)
	case !o.putBack(e):
		o.logger.Info("an event could not be written", "event", e.event.Reason, "err", err.Error())
		o.giveUp(e, DropTimeout, true)
	}
}

// passing reports whether a request may succeed later.
func passing(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return true // There was no answer.
	}
	return status.Status().Code >= 500 || apierrors.IsTooManyRequests(err)
}

// try makes an event, or sets the count of one that is there.
func (o *outbox) try(ctx context.Context, client eventsclient.EventsV1Interface, e *entry) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	series, there := o.series(e)
	if there {
		err := o.count(ctx, client, e, series)
		if !apierrors.IsNotFound(err) {
			return err
		}
		o.lost(e) // It has expired.
	}
	event := e.event.DeepCopy()
	switch {
	case there:
		event.EventTime = series.LastObservedTime
	case series.Count > 1: // It was recorded again before it was written.
		event.Series = series
	}
	_, err := client.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return o.recur(ctx, client, e, event.EventTime)
	}
	if err != nil {
		return fmt.Errorf("creating an event: %w", err)
	}
	o.wrote(e, 0)
	return nil
}

// recur counts an event that is there, and was written by an earlier process or another replica. A
// patch that changes nothing gives it back, and needs no right to read.
func (o *outbox) recur(ctx context.Context, client eventsclient.EventsV1Interface, e *entry, made metav1.MicroTime) error {
	there, err := client.Events(e.event.Namespace).Patch(ctx, e.event.Name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("reading an event: %w", err)
	}
	if there.EventTime.Time.Equal(made.Truncate(time.Microsecond)) {
		o.wrote(e, 0) // The answer to an earlier try was lost.
		return nil
	}
	before := int32(1)
	if there.Series != nil {
		before = there.Series.Count
	}
	o.wrote(e, before)
	series, _ := o.series(e)
	return o.count(ctx, client, e, series)
}

// count sets how often an event was recorded.
func (o *outbox) count(ctx context.Context, client eventsclient.EventsV1Interface, e *entry, series *eventsv1.EventSeries) error {
	_, err := client.Events(e.event.Namespace).
		Patch(ctx, e.event.Name, types.MergePatchType, seriesPatch(series), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("counting an event: %w", err)
	}
	return nil
}
