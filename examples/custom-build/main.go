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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(daemon.Main(ctx, append(builtin.Plugins(), annotate.Plugin)...))
}
