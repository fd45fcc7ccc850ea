package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/handlers"
)

// Exit statuses of the program.
const (
	// ExitOK means stopped as asked.
	ExitOK = 0
	// ExitFailure means a failure at run time.
	ExitFailure = 1
	// ExitUsage means bad usage or a bad config; nothing was contacted, unless the config is in the
	// cluster.
	ExitUsage = 2
	// ExitLost means that leadership was lost, which ends the execution.
	ExitLost = 3
	// ExitChanges is the status of plan when something would be changed.
	ExitChanges = 4
)

// Main runs the program with the arguments of the process and the given plugins, and returns its
// exit status. When ctx ends it stops: no new work, calls under way finish, the lease is released.
// A leader begins with that only after the delay of --shutdown-delay-duration. When ctx is that of
// signals.Context, a second signal ends the delay; with any other context only time or the loss of
// the lease does.
//
// The daemon evaluates a changed config in a process of its own, for which it starts the binary of
// this process again. So main calls Main whatever the arguments are, always with the same plugins,
// and does nothing before that which must not be done twice.
//
// The caller exits with the status at once: after status 1 or 3 a handler may still be running.
func Main(ctx context.Context, plugins ...handlers.AnyPlugin) int {
	return Run(ctx, Options{Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Plugins: plugins, isProgram: true})
}

// Options of Run.
type Options struct {
	// Args are the arguments after the program's name.
	Args []string
	// Stdout receives what commands print. Required.
	Stdout io.Writer
	// Stderr receives the log and error messages. Required.
	Stderr io.Writer
	// Plugins are the plugins that the binary has.
	Plugins []handlers.AnyPlugin

	// isProgram is set when the process is this program and nothing else: its binary, started
	// again with other arguments, gets here.
	isProgram bool
}

// Run is Main with everything given.
func Run(ctx context.Context, opts Options) int {
	registry, err := handlers.NewRegistry(opts.Plugins...)
	if err != nil {
		_, _ = fmt.Fprintf(opts.Stderr, "kooperd: %s\n", plainLines(err.Error()))
		return ExitUsage
	}
	cmd := newRootCommand(registry, opts.isProgram)
	cmd.SetArgs(opts.Args)
	cmd.SetOut(opts.Stdout)
	cmd.SetErr(opts.Stderr)
	err = cmd.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	if !errors.Is(err, errSilent) {
		_, _ = fmt.Fprintf(opts.Stderr, "kooperd: %s\n", plainLines(err.Error()))
	}
	return exitStatus(err)
}

// errSilent marks an error whose message has been printed.
var errSilent = errors.New("already reported")

// runError is an error of a command that was used rightly; every other error of the command line is
// bad usage.
type runError struct{ err error }

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }

// printed is for the results of writing to standard output: that it cannot be written is a failure
// at run time. When the reader has seen enough, as head does, there is nothing to say about it.
func printed(_ int, err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return &runError{errSilent}
	}
	if err != nil {
		return &runError{fmt.Errorf("writing the output: %w", err)}
	}
	return nil
}

func exitStatus(err error) int {
	var failed *runError
	switch {
	case errors.Is(err, election.ErrLost):
		return ExitLost
	case errors.Is(err, errChanges):
		return ExitChanges
	case errors.As(err, &failed):
		return ExitFailure
	default:
		return ExitUsage
	}
}
