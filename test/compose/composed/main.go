// Command composed is kooperd with one more plugin, for the tests of children: "parts" makes the
// children that its config lists, and records each call in the file that PARTS_RECORD names.
package main

import (
	"fmt"
	"os"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
	"kooperd.dev/kooperd/test/compose/parts"
)

func main() {
	ctx := signals.Context()
	record, err := parts.OpenRecord(os.Getenv("PARTS_RECORD"))
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "composed: %v\n", err)
		os.Exit(daemon.ExitFailure)
	}
	os.Exit(daemon.Main(ctx, append(builtin.Plugins(), parts.Plugin(record))...))
}
