// Command benchd is kooperd with two more plugins, for the benchmark: "bench" handles objects as
// the order says that the process was started with, and "children" makes children of them. Its
// arguments are kooperd's.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
	"kooperd.dev/kooperd/test/bench/order"
)

func main() {
	os.Exit(run(signals.Context()))
}

// run is kooperd, and what the benchmark wants to know of it afterwards.
func run(ctx context.Context) int {
	o, err := order.FromEnv()
	if err != nil {
		return complain(err)
	}
	if o.Contention {
		runtime.SetMutexProfileFraction(1)
	}
	tally, err := order.NewTally(o, os.Stdout)
	if err != nil {
		return complain(err)
	}
	status := daemon.Main(ctx, append(builtin.Plugins(), plugin(o, tally), childrenPlugin(o, tally))...)
	if err := tally.Close(); err != nil {
		return complain(err)
	}
	return status
}

func complain(err error) int {
	_, _ = fmt.Fprintf(os.Stderr, "benchd: %v\n", err)
	return daemon.ExitFailure
}
