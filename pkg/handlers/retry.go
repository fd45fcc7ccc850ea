package handlers

import (
	"errors"
	"time"
)

// RetryAfter marks err as one whose call is to be made again after d, neither sooner nor later: it
// is for a party that has said when to come back, as an HTTP server does with the status 429 and
// Retry-After. A change of what the handler reads calls it before. The definition's backoff does
// not count, nor do its maxRetries. Of a composer, no event is recorded about such a failure, and
// the parent is not Degraded.
//
// Where d is 0 or less, and where err is nil, it returns err. A mark by Terminal counts for more.
// errors.Is and errors.As see through the mark.
func RetryAfter(err error, d time.Duration) error {
	if err == nil || d <= 0 {
		return err
	}
	return &retryAfterError{err: err, delay: d}
}

// RetryDelay returns after which time the call that has returned err is to be made again, or false
// if neither err nor an error it wraps was marked by RetryAfter.
func RetryDelay(err error) (d time.Duration, ok bool) {
	if marked, ok := errors.AsType[*retryAfterError](err); ok && !IsTerminal(err) {
		return marked.delay, true
	}
	return 0, false
}

type retryAfterError struct {
	err   error
	delay time.Duration
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

// RetryAfter is how long to wait.
func (e *retryAfterError) RetryAfter() time.Duration { return e.delay }
