// Command kooperd runs the Kubernetes controllers that a config file declares, all under one lease.
//
// This file is the whole program, and the tutorial for a custom build: copy it, add your plugins to
// the list, go build.
//
//	kooperd --config controllers.cue
package main

import (
	"os"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
)

func main() {
	// Own plugins go here: append(builtin.Plugins(), chaos.Plugin)...
	os.Exit(daemon.Main(signals.Context(), builtin.Plugins()...))
}
