package signals

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// UntilCPULimit returns a context that ends with parent, or with cause when the kernel says that
// the process has taken the CPU time of its soft limit (RLIMIT_CPU, SIGXCPU). The function ends it
// too, and has to be called. The limit may be set afterwards.
func UntilCPULimit(parent context.Context, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGXCPU)
	go func() {
		defer signal.Stop(received)
		select {
		case <-received:
			cancel(cause)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}
