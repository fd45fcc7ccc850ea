// Command kooperd runs the Kubernetes controllers that a config file declares, all under one lease.
//
// This file is the whole program, and the tutorial for a custom build: copy it, add your plugins to the list, go build.
//
//	kooperd --config controllers.cue
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

func main() {
	// The first SIGINT or SIGTERM asks for a clean stop; after it the signals have their default effect again, so a
	// second one ends the process at once. Only in the delay of --shutdown-delay-duration it is caught once more.
	ctx, _ := notify(context.Background())

	os.Exit(daemon.Run(ctx, daemon.Options{
		Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Notify: notify,
		Plugins: builtin.Plugins(), // Own plugins go here: append(builtin.Plugins(), chaos.Plugin)
	}))
}

// notify returns a context that ends with the next signal to stop, and a function that ends it. Unlike with signal.NotifyContext,
// the signals have their default effect before that, so that one which comes right after it is not lost.
func notify(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stop := func() {
		signal.Stop(signals)
		cancel()
	}
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		stop()
	}()
	return ctx, stop
}
