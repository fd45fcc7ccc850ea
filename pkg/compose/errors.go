package compose

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

const (
	// firstSlowRetry and lastSlowRetry bound the delay after an error that the API server gives
	// again unless something changes.
	firstSlowRetry = time.Second
	lastSlowRetry  = 10 * time.Minute
	// fenceRetry is the delay after the first refusal: a replica that has just become the leader
	// may be ahead of the policy that lets it write.
	fenceRetry = 100 * time.Millisecond
)

// composeError is what the composer has returned, or a mistake in its answer.
type composeError struct{ err error }

func (e *composeError) Error() string { return fmt.Sprintf("composing: %v", e.err) }
func (e *composeError) Unwrap() error { return e.err }

// opError is why something could not be done with an object.
type opError struct {
	reason Reason
	err    error
}

func (e *opError) Error() string { return e.err.Error() }
func (e *opError) Unwrap() error { return e.err }

// childrenError is an error about single children or patches, which are counted as refused.
type childrenError struct{ err error }

func (e *childrenError) Error() string { return e.err.Error() }
func (e *childrenError) Unwrap() error { return e.err }

// IsAboutChildren reports whether a call has failed because of single children or patches, and of
// nothing else: the metrics of these show it.
func IsAboutChildren(err error) bool {
	_, ok := errors.AsType[*childrenError](err)
	return ok
}

// withAnother adds an error that is about something else to what a call ends with. When to try
// again stays the same.
func withAnother(err, other error) error {
	if other == nil || !IsAboutChildren(err) {
		return err
	}
	both := fmt.Errorf("%s; %w", err.Error(), other)
	if slow, ok := errors.AsType[*slowError](err); ok {
		return &slowError{err: both, delay: slow.delay}
	}
	return both
}

// slowError is an error with the delay before the next try.
type slowError struct {
	err   error
	delay time.Duration
}

func (e *slowError) Error() string { return e.err.Error() }
func (e *slowError) Unwrap() error { return e.err }

// RetryAfter is how long to wait, unless something that the handler reads changes before.
func (e *slowError) RetryAfter() time.Duration { return e.delay }

// slowly gives an error that stays what it is a slow retry. Others are retried as the definition
// says. attempt counts the failed calls before.
func slowly(err error, attempt int) error {
	if err == nil || passing(err) {
		return err
	}
	if attempt == 0 && apierrors.IsForbidden(err) {
		return &slowError{err: err, delay: fenceRetry}
	}
	delay := firstSlowRetry << min(max(attempt, 0), 10)
	return &slowError{err: err, delay: min(delay, lastSlowRetry)}
}

// sooner makes a slow retry come after d at the latest; 0 for no matter when.
func sooner(err error, d time.Duration) error {
	slow, ok := errors.AsType[*slowError](err)
	if !ok || d == 0 || slow.delay <= d {
		return err
	}
	return &slowError{err: err, delay: d}
}

// putOff reports whether the composer has asked to be called later: that is no trouble.
func putOff(err error) bool {
	_, ok := handlers.RetryDelay(err)
	return ok
}

// passing reports whether an error is one of those that pass by themselves.
func passing(err error) bool {
	if errors.Is(err, kube.ErrNotLeading) || kinds.IsNotServed(err) {
		return true
	}
	if failure, ok := errors.AsType[*opError](err); ok && failure.reason != reasonUnavailable && failure.reason != reasonStale {
		return false
	}
	if _, ok := errors.AsType[*composeError](err); ok {
		return true
	}
	if status, ok := statusOf(err); ok {
		return status.Code >= http.StatusInternalServerError || status.Code == http.StatusTooManyRequests || stale(err)
	}
	return true
}

// The reasons of errors of the API server.
const (
	reasonInvalid     Reason = "Invalid"
	reasonForbidden   Reason = "Forbidden"
	reasonQuota       Reason = "QuotaExceeded"
	reasonTerminating Reason = "NamespaceTerminating"
	reasonNotFound    Reason = "NotFound"
	reasonNotServed   Reason = "NotServed"
	reasonStale       Reason = "Stale"
	reasonUnavailable Reason = "Unavailable"
)

// reasonPutOff is that of a composer that has asked to be called later.
const reasonPutOff Reason = "RetryAfter"

// reasonFor classifies an error of a request.
func reasonFor(err error) Reason {
	switch {
	case apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict):
		return ReasonConflict
	case apierrors.HasStatusCause(err, "NamespaceTerminating"):
		return reasonTerminating
	case stale(err):
		return reasonStale
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return reasonQuota
	case apierrors.IsForbidden(err):
		return reasonForbidden
	case kinds.IsNotServed(err):
		return reasonNotServed
	case apierrors.IsNotFound(err):
		return reasonNotFound
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return reasonInvalid
	default:
		return reasonUnavailable
	}
}

// stale reports whether an error means no more than that the object is another one, or in another
// state, than was thought.
func stale(err error) bool {
	if apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
		return false
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return true
	}
	status, ok := statusOf(err)
	return ok && apierrors.IsInvalid(err) && status.Details != nil &&
		slices.ContainsFunc(status.Details.Causes, func(cause metav1.StatusCause) bool { return cause.Field == "metadata.uid" })
}

// statusOf returns what the API server has answered, if err is an answer.
func statusOf(err error) (metav1.Status, bool) {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return metav1.Status{}, false
	}
	return answer.Status(), true
}

// conflictText names the managers and fields of a conflict. what is a child or a patch.
func conflictText(err error, what string) string {
	causes := conflictsWithOthers(err, nil)
	if len(causes) == 0 {
		return err.Error()
	}
	return textOfConflicts(causes, what)
}

func textOfConflicts(causes []metav1.StatusCause, what string) string {
	const most = 3
	texts := make([]string, 0, most)
	for _, cause := range causes[:min(len(causes), most)] {
		texts = append(texts, fmt.Sprintf("%s: %s", cause.Field, cause.Message))
	}
	return "another field manager owns what the " + what + " sets: " + strings.Join(texts, "; ")
}

// conflictsWithOthers are those of an error that are not with some field managers. What one of
// these has set by a subresource is another's.
func conflictsWithOthers(err error, managers []string) (causes []metav1.StatusCause) {
	status, ok := statusOf(err)
	if !ok || status.Details == nil {
		return nil
	}
	for _, cause := range status.Details.Causes {
		ofManagers := !strings.Contains(cause.Message, "with subresource") &&
			slices.ContainsFunc(managers, func(name string) bool { return strings.Contains(cause.Message, strconv.Quote(name)) })
		if cause.Type == metav1.CauseTypeFieldManagerConflict && !ofManagers {
			causes = append(causes, cause)
		}
	}
	return causes
}

// maxMistakes is how many mistakes are named together. There may be thousands, and they stand in a
// condition or in one line of the log.
const maxMistakes = 10

// joinFirst joins the first of what is wrong, and says how many more there are, and of what.
func joinFirst(mistakes []error, of string) error {
	if more := len(mistakes) - maxMistakes; more > 0 {
		mistakes = append(mistakes[:maxMistakes:maxMistakes], fmt.Errorf("and %d more %s", more, of)) //nolint:err113 // for a person
	}
	return errors.Join(mistakes...)
}

// ended returns why the call has to end, if it has.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
