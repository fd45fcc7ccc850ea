package daemon

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
)

// TestMain makes the test binary a program like any other for an evaluation in a child.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == evaluateCommand:
		os.Exit(Main(signals.Context(), testPlugins()...))
	case os.Getenv(parentFile) != "":
		os.Exit(parentProgram(signals.Context()))
	}
	goleak.VerifyTestMain(m)
}

// testPlugins are the built-in plugins and one that does what a plugin must not do.
func testPlugins() []handlers.AnyPlugin {
	return append(builtin.Plugins(), handlers.Plugin[hostileConfig]{
		Name: "hostile", Summary: "does harm", Schema: "#Config: {do!: string, pipe?: string}",
		Validate: validateHostile,
		New:      func(context.Context, handlers.Env, hostileConfig) (handlers.Handler, error) { return nil, nil },
	})
}

type hostileConfig struct {
	Do   string `json:"do"`
	Pipe string `json:"pipe,omitempty"`
}

func validateHostile(c *hostileConfig) []handlers.Problem {
	switch c.Do {
	case "print":
		fmt.Print("a line\n{\"config\":")
	case "panic":
		panic("by the plugin")
	case "exit":
		fmt.Fprintln(os.Stderr, "the plugin has had enough")
		os.Exit(0) //nolint:revive // what a plugin must not do
	case "hang":
		if c.Pipe != "" {
			defer writePipe(c.Pipe).Close()
		}
		<-make(chan struct{})
	case "wait":
		if len(os.Args) > 1 && os.Args[1] == evaluateCommand {
			_ = writePipe(c.Pipe).Close()
			_ = writePipe(c.Pipe + goOn).Close()
		}
	}
	return nil
}

// goOn is the end of the name of a pipe. When it is opened for reading, the hostile plugin goes on.
const goOn = ".on"

// writePipe writes a line to a pipe, as soon as something reads from it.
func writePipe(name string) *os.File {
	pipe, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintln(pipe, "running")
	return pipe
}

func testRegistry(t *testing.T) *handlers.Registry {
	t.Helper()
	registry, err := handlers.NewRegistry(testPlugins()...)
	if err != nil {
		t.Fatal(err)
	}
	return registry
}
