package compose

import (
	"context"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Redaction removes what is secret from what is said of one call of a handler that is none of a
// composer: what the handler calls handlers.Redact with, and the values of its object, if that is a
// Secret. The zero Redaction is ready for use. It is safe for concurrent use.
type Redaction struct{ secrets redactor }

// Context returns the context of the call.
func (r *Redaction) Context(ctx context.Context) context.Context {
	return handlers.WithRedaction(ctx, r.secrets.addValues)
}

// Error returns the error of a call for an object, with a text that has nothing secret in it.
func (r *Redaction) Error(object handlers.Object, err error) error {
	r.secrets.add(object)
	return r.secrets.cleanError(err)
}
