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
	// second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)

	// Own plugins go here: append(builtin.Plugins(), chaos.Plugin)...
	os.Exit(daemon.Main(ctx, builtin.Plugins()...))
}
