package handlerstest

import (
	"context"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// finalizerName is the finalizer of the definitions that Check makes.
const finalizerName = "kooperd.dev/check"

// finalize finalizes every object twice, in a handler that has handled none of them, and once in a
// context that has ended.
func (c *check) finalize(t *testing.T, bound handlers.Bound) {
	c.life(t, bound, func(s subject) {
		calls := c.handlings("finalizing", finalizing(s))
		for _, what := range calls {
			c.finalizeTwice(t, what)
		}
		c.cancelAll(t, calls)
	})
}

func (c *check) finalizeTwice(t *testing.T, what call) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), c.opts.timeouts.call)
	defer cancel()
	first, second := c.run(ctx, t, what), c.run(ctx, t, what)
	if first == nil && second != nil && ctx.Err() == nil {
		t.Errorf("%s again: %v; want no error, because what is gone already needs nothing", what.doing, second)
	}
}

// finalizing is a handler whose Handle is the Finalize of s, which must have one.
func finalizing(s subject) handlers.Handler {
	finalizer, ok := s.(handlers.Finalizer)
	if !ok {
		panic("the handler is no handlers.Finalizer") // Bound.New has seen to that.
	}
	return handlers.HandlerFunc(finalizer.Finalize)
}
