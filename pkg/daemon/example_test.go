package daemon_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
)

// A program with the built-in plugins. Plugins of your own are appended to the list.
func ExampleMain() { //nolint:testableexamples // it would end the test
	main := func() {
		os.Exit(daemon.Main(signals.Context(), builtin.Plugins()...))
	}
	_ = main
}

// Run has the arguments and the streams as options, here those of a command.
func ExampleRun() {
	var out, errs strings.Builder
	status := daemon.Run(context.Background(), daemon.Options{
		Args: []string{"plugins"}, Stdout: &out, Stderr: &errs, Plugins: builtin.Plugins(),
	})
	fmt.Println(status, strings.Contains(out.String(), "exec"))
	// Output: 0 true
}
