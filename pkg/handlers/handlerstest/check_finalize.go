package handlerstest

import (
	"context"
	"maps"
	"slices"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// finalizerName is the finalizer of the definitions that Check makes.
const finalizerName = "kooperd.dev/check"

// finalize finalizes every object twice, in a handler that has handled none of them, and once in a
// context that has ended.
func (c *check) finalize(t *testing.T, bound handlers.Bound) {
	c.life(t, bound, func(h handlers.Handler) {
		requests := c.requests()
		for _, name := range slices.Sorted(maps.Keys(requests)) {
			c.finalizeTwice(t, h, name, requests[name])
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, name := range slices.Sorted(maps.Keys(requests)) {
			_ = c.call(ended, t, finalizing(h), name, requests[name])
			soon, cancel := context.WithTimeout(t.Context(), cancelAfter)
			_ = c.call(soon, t, finalizing(h), name, requests[name])
			cancel()
		}
	})
}

func (c *check) finalizeTwice(t *testing.T, h handlers.Handler, name string, req handlers.Request) {
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	first, second := c.call(ctx, t, finalizing(h), name, req), c.call(ctx, t, finalizing(h), name, req)
	if first == nil && second != nil && ctx.Err() == nil {
		t.Errorf("finalizing object %q again: %v; want no error, because what is gone already needs nothing", name, second)
	}
}

// finalizing is a handler whose Handle is the Finalize of h, which must have one.
func finalizing(h handlers.Handler) handlers.Handler {
	finalizer, ok := h.(handlers.Finalizer)
	if !ok {
		panic("the handler is no handlers.Finalizer") // Bound.New has seen to that.
	}
	return handlers.HandlerFunc(finalizer.Finalize)
}
