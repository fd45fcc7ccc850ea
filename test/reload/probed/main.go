// Command probed is kooperd with one more plugin, for the reload tests: "probe" records each call
// in the file that PROBE_RECORD names.
package main

import (
	"fmt"
	"os"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
	"kooperd.dev/kooperd/test/reload/probe"
)

func main() {
	ctx := signals.Context()
	record, err := probe.OpenRecord(os.Getenv("PROBE_RECORD"))
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "probed: %v\n", err)
		os.Exit(daemon.ExitFailure)
	}
	os.Exit(daemon.Main(ctx, append(builtin.Plugins(), probe.Plugin(record))...))
}
