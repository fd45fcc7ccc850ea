package handlers

import "errors"

// Unavailable marks err as one that is not about the object: what the handler needs for all objects
// is not there, such as the server that a webhook calls. The definition becomes Degraded at once,
// with err as the reason, until a call ends in another way; the definition's maxRetries do not
// count. Of a composer, the parent is left as it is: its status is not written, and no event is
// recorded about it. A call that does not ask the composer, as for a parent that is paused, ends
// nothing.
//
// It can be combined with RetryAfter, which says when to try again; else the definition's backoff
// does. A handler that knows that another try is of no use yet should return at once.
//
// Unavailable(nil) is nil. errors.Is and errors.As see through the mark.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &unavailableError{err: err}
}

// IsUnavailable reports whether err, or an error it wraps, was marked by Unavailable.
func IsUnavailable(err error) bool {
	_, ok := errors.AsType[*unavailableError](err)
	return ok
}

type unavailableError struct{ err error }

func (e *unavailableError) Error() string { return e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }
