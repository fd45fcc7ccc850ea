// Command custom-build is a kooperd with a plugin of its own, "annotate", besides the built-in ones.
//
//	go build -o kooperd . && ./kooperd --config controllers.cue
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"kooperd.dev/kooperd/examples/custom-build/annotate"
	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

func main() {
	ctx, stop := notify(context.Background())
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, unless the shutdown delay catches it
	os.Exit(daemon.Run(ctx, daemon.Options{
		Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Notify: notify,
		Plugins: append(builtin.Plugins(), annotate.Plugin),
	}))
}

// notify returns a context that ends with the next signal to stop.
func notify(parent context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
}
