package handlers

import "context"

// redactKey is where a context keeps what takes secrets.
type redactKey struct{}

// Redact keeps secrets out of what kooperd says about a parent: a composer calls it with what it
// uses, such as the password that its requests are authenticated with. From then on, they are
// removed from all conditions, events, errors and log lines of the call, whoever quotes them, the
// API server included, as what was read from Secrets is. Values of fewer than 6 bytes are not: they
// are everywhere. ctx is that of Compose or Relate; with another one, it does nothing.
func Redact(ctx context.Context, secrets ...SecretValue) {
	add, ok := ctx.Value(redactKey{}).(func(...SecretValue))
	if ok {
		add(secrets...)
	}
}

// WithRedaction returns a context that gives add what Redact is called with. It is for callers of
// composers. add may be called by several goroutines at a time.
func WithRedaction(ctx context.Context, add func(secrets ...SecretValue)) context.Context {
	return context.WithValue(ctx, redactKey{}, add)
}
