// Command markerd is kooperd with one more plugin, for the failover tests: "marker" writes who
// handles an object.
package main

import (
	"fmt"
	"os"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
	"kooperd.dev/kooperd/test/failover/marker"
)

func main() {
	ctx := signals.Context()
	identity, err := election.Identity(os.Getenv("POD_NAME"), os.Getenv("POD_UID"))
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "markerd: %v\n", err)
		os.Exit(daemon.ExitFailure)
	}
	os.Exit(daemon.Main(ctx, append(builtin.Plugins(), marker.Plugin(identity))...))
}
