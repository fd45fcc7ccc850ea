package hook

import (
	"context"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Name is which hook is called.
type Name string

// The hooks.
const (
	// Sync says which children should exist.
	Sync Name = "sync"
	// Finalize says the same for a parent that is being deleted, and when it may go.
	Finalize Name = "finalize"
	// Customize says which other objects the two read for one parent.
	Customize Name = "customize"
)

// Caller carries requests to hooks. It is safe for concurrent use.
type Caller interface {
	// Call sends one request to one hook and returns the body of its answer, which must be the
	// caller's own. It bounds how large an answer may be, and returns when ctx ends. Its errors
	// are returned by Compose as they are, with the name of the hook in front: what
	// handlers.Terminal says of one holds.
	Call(ctx context.Context, call Call) ([]byte, error)
}

// CallerFunc makes a function a Caller.
type CallerFunc func(ctx context.Context, call Call) ([]byte, error)

// Call calls f.
func (f CallerFunc) Call(ctx context.Context, call Call) ([]byte, error) { return f(ctx, call) }

// Call is one request to one hook.
type Call struct {
	// Hook is which one is called.
	Hook Name
	// Parent is the object that it is called for.
	Parent handlers.Object
	// Cause is why, and Attempt counts the failed calls in a row before. Both are zero for
	// Customize.
	Cause   handlers.Cause
	Attempt int
	// Body is the request, one JSON object. The same question is the same text. It must not be
	// changed.
	Body []byte
}

// Hooks says which hooks there are besides Sync.
type Hooks struct {
	// Finalize and Customize say that there is one.
	Finalize, Customize bool
}
