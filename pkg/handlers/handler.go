package handlers

import (
	"context"
	"errors"
	"time"
)

// Handler brings the world in line with one object. It is called at least once for every object
// that exists, and after every change of it, unless the definition's ignore or where leaves that
// out. Calls for one object never overlap. Calls for different objects may, in a concurrent
// definition. A Handler must be idempotent, and must return when ctx ends. ctx carries the deadline
// of the call, and ends with the leadership term. logr.FromContext gives a logger that names the
// definition, the object and the call.
//
// A Handler that also implements io.Closer is closed once, after its last call has returned.
type Handler interface {
	Handle(ctx context.Context, req Request) (Result, error)
}

// Finalizer is what a Handler also implements when its definition may have a finalizer. That is an
// entry in the objects' metadata.finalizers, which keeps an object whose deletion is asked for
// until it is taken out. The engine puts it into an object before the first call of Handle, and
// takes it out when Finalize has succeeded. A handler does neither.
//
// With a finalizer, Handle is called for no object that is being deleted. Finalize is called in its
// place for those that have the finalizer, under the same rules: never while another call for the
// object is under way, with the definition's timeout, and again after an error. It is called at
// least once, and may be called again after it has succeeded, by another process too, so it must be
// idempotent: what is gone already is no error. It may find an object that Handle was never called
// for, or has failed for. A Result with RequeueAfter keeps the finalizer, for a call that has begun
// something whose end is to be waited for. After an error marked by Terminal, the object stays
// until it changes or is resynced.
type Finalizer interface {
	Finalize(ctx context.Context, req Request) (Result, error)
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(ctx context.Context, req Request) (Result, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, req Request) (Result, error) { return f(ctx, req) }

// Request is one call for one object.
type Request struct {
	// Object is the object as the cache holds it at the moment of the call. When the engine has
	// just added the definition's finalizer, it is the object as the API server has answered.
	Object Object
	// Cause is why the call is made. Several causes coalesce into one call; the most urgent one is
	// given.
	Cause Cause
	// Attempt counts the failed calls in a row before this one, since the last change of the
	// object: 0 on a first try and for CauseChange.
	Attempt int
}

// Cause is why a handler is called.
type Cause string

// The causes, the most urgent first.
const (
	// CauseChange is a change of the object seen by the watch, its creation included.
	CauseChange Cause = "change"
	// CauseRetry follows a call that returned an error.
	CauseRetry Cause = "retry"
	// CauseRequeue follows a call that returned RequeueAfter.
	CauseRequeue Cause = "requeue"
	// CauseResync is the definition's resync period.
	CauseResync Cause = "resync"
	// CauseInitial is the first call for an object that existed before the term began.
	CauseInitial Cause = "initial"
)

// Result is what a successful call asks for.
type Result struct {
	// RequeueAfter calls the handler again for this object after that time, unless it was called
	// for another reason before then. 0, the default, and less ask for nothing. It is ignored when
	// the call returns an error.
	RequeueAfter time.Duration
}

// Terminal marks err as one that a retry does not help: the object is not handled again until it
// changes, or until the next resync. Terminal(nil) is nil. errors.Is and errors.As see through the
// mark.
func Terminal(err error) error {
	if err == nil {
		return nil
	}
	return &terminalError{err: err}
}

// IsTerminal reports whether err, or an error it wraps, was marked by Terminal.
func IsTerminal(err error) bool {
	var t *terminalError
	return errors.As(err, &t)
}

type terminalError struct{ err error }

func (e *terminalError) Error() string { return e.err.Error() }
func (e *terminalError) Unwrap() error { return e.err }
