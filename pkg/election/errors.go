package election

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

var (
	// ErrLost is what Run returns, wrapped with the reason, when a term ended against the elector's
	// will.
	ErrLost = errors.New("leadership lost")
	// ErrStuck is wrapped together with ErrLost when the leader's function had not returned by the
	// time another candidate could lead. The caller must end the process at once, with exit status
	// 3: nothing else stops that function.
	ErrStuck = errors.New("work of the ended term is still running")
	// ErrKeepLease is what a leader's function wraps in its error to say that some of its work may
	// still be running: the Lease is then not released but left to expire.
	ErrKeepLease = errors.New("the lease must be left to expire")
	// ErrRunning is what Run returns when it is called while an earlier call, or its leader's
	// function, still runs.
	ErrRunning = errors.New("the elector is already running")
)

// Reason says why a term was lost.
type Reason string

const (
	// ReasonDeadline means that no renewal succeeded within RenewDeadline.
	ReasonDeadline Reason = "RenewDeadlineExceeded"
	// ReasonTaken means that the Lease names another holder.
	ReasonTaken Reason = "TakenByAnother"
	// ReasonShared means that another process with the same identity wrote the Lease.
	ReasonShared Reason = "IdentityShared"
	// ReasonEdited means that the Lease was changed by hand so that it no longer protects this
	// term.
	ReasonEdited Reason = "LeaseEdited"
	// ReasonDeleted means that the Lease is gone.
	ReasonDeleted Reason = "LeaseDeleted"
)

// loss is why a term has to end; without a reason it goes on.
type loss struct {
	reason Reason
	holder string // of the Lease when the reason was seen; may be empty
	cause  error  // of the last failed renewal, if that is the reason
}

// err returns the error that Run reports for the loss.
func (l loss) err() error {
	switch {
	case l.reason == ReasonTaken:
		return fmt.Errorf("%w: %s: the lease is held by %q", ErrLost, l.reason, l.holder)
	case l.cause != nil:
		return fmt.Errorf("%w: %s: %w", ErrLost, l.reason, l.cause)
	default:
		return fmt.Errorf("%w: %s", ErrLost, l.reason)
	}
}

// gone reports whether the API server itself said that the Lease does not exist. A 404 without a
// Status, as a proxy or a starting server sends it, does not say that.
func gone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err)
}

// refused reports whether a write lost against another one: the object changed, or came into being,
// in between.
func refused(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}

// suggestedDelay returns for how long the API server asked not to be called again, at most limit;
// zero when it did not. An elector that obeyed any number would be out of the race for as long as a
// faulty proxy likes.
func suggestedDelay(err error, limit time.Duration) time.Duration {
	seconds, ok := apierrors.SuggestsClientDelay(err)
	if !ok || seconds <= 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, limit)
}

// unlessCanceled drops an error that only repeats that the context has ended.
func unlessCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
