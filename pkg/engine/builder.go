package engine

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// slowBuild is how long a constructor may take before it makes its definition Degraded.
const slowBuild = 10 * time.Second

// buildBackoff is the delay between tries to make a handler whose constructor failed.
var buildBackoff = wait.Backoff{
	Duration: time.Second, Factor: 2, Jitter: 0.25, Cap: time.Minute, Steps: math.MaxInt32,
}

// handlerBuilder makes the handler of one revision, and closes it.
type handlerBuilder struct {
	definition string
	plugin     handlers.Bound
	env        func() (handlers.Env, error) // without Lister and Metrics
	make       func(ctx context.Context, env handlers.Env) (handlers.Handler, error)
	registry   *registerer
	metrics    *telemetry.Controller
	logger     logr.Logger
	changed    func() // called when get returns something else

	mu      sync.Mutex
	handler handlers.Handler // nil until it is made
	err     error            // of the last try to make it
	foreign string           // which function of the plugin is running
}

// get returns the handler, or nil with the error of the last try to make it.
func (b *handlerBuilder) get() (handlers.Handler, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.handler, b.err
}

// build makes the handler, again and again until that succeeds or ctx ends.
func (b *handlerBuilder) build(ctx context.Context, lister handlers.Lister) bool {
	slow := time.AfterFunc(slowBuild, b.noteSlow)
	defer slow.Stop()
	backoff := buildBackoff.DelayFunc()
	var delay time.Duration
	try := func(ctx context.Context) (bool, error) {
		handler, err := b.try(ctx, lister)
		if err != nil && ctx.Err() != nil {
			return false, err // The constructor obeys its context.
		}
		b.mu.Lock()
		b.handler, b.err = handler, err
		b.mu.Unlock()
		if err != nil {
			delay = backoff()
			b.logger.Error(err, "making handler", "retryAfter", delay)
		}
		b.changed()
		return err == nil, nil
	}
	return wait.DelayFunc(func() time.Duration { return delay }).Until(ctx, true, true, try) == nil
}

func (b *handlerBuilder) noteSlow() {
	b.mu.Lock()
	if b.handler == nil && b.err == nil {
		b.err = fmt.Errorf("making the %s handler takes longer than %s", b.plugin.Plugin(), slowBuild)
	}
	b.mu.Unlock()
	b.changed()
}

// try runs the plugin's constructor.
func (b *handlerBuilder) try(ctx context.Context, lister handlers.Lister) (handlers.Handler, error) {
	env, err := b.env()
	if err != nil {
		return nil, err
	}
	env.Lister, env.Metrics = lister, b.registry
	var handler handlers.Handler
	err = b.runForeign("New", func() (err error) {
		handler, err = b.make(ctx, env)
		return err
	})
	if err == nil {
		return handler, nil
	}
	b.registry.withdraw()
	return nil, fmt.Errorf("making the %s handler: %w", b.plugin.Plugin(), err)
}

// close closes the handler if it wants that, and withdraws its metrics.
func (b *handlerBuilder) close() {
	handler, _ := b.get()
	if closer, ok := handler.(io.Closer); ok {
		if err := b.runForeign("Close", closer.Close); err != nil {
			b.logger.Error(err, "closing handler")
		}
	}
	b.registry.withdraw()
}

// runForeign runs a function of the plugin and counts its crash as a panic.
func (b *handlerBuilder) runForeign(name string, f func() error) error {
	b.setForeign(name)
	defer b.setForeign("")
	err := runForeign(f)
	if crash := crashed(err); crash != nil {
		b.metrics.Panics.Inc()
		b.logger.Error(crash, "plugin panicked", "function", name, "stack", string(crash.stack))
	}
	return err
}

func (b *handlerBuilder) setForeign(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.foreign = name
}

// unreturned says which function of the plugin is running, if one is.
func (b *handlerBuilder) unreturned() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.foreign == "" {
		return nil
	}
	return []string{fmt.Sprintf("%s: the %s handler's %s", b.definition, b.plugin.Plugin(), b.foreign)}
}
