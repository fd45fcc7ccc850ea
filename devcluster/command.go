package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/component-base/version"
)

// The exit statuses of devcluster itself; kubectl has its own.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a mistake in the command line, which ends with status 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// run is the whole program behind main: it executes one command line and returns the exit status.
//
// The two commands that belong to other programs (kubectl, and the components devcluster runs as
// its children) are recognized before any flag is read, because their flags are theirs alone.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "kubectl":
			return runKubectl(args[1:])
		case componentCommand:
			return runComponent(args[1:], stdin, stderr)
		}
	}
	err := execute(args, stdin, stdout, stderr)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "devcluster: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailure
}

// execute runs the commands whose flags are devcluster's own until they end or a signal stops them.
func execute(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal kills at once: the components notice that they have been left alone.
	context.AfterFunc(ctx, stop)

	// Packages of Kubernetes add flags of theirs to the process's command line, which cobra would
	// show.
	pflag.CommandLine = pflag.NewFlagSet("devcluster", pflag.ContinueOnError)
	cmd := newCommand(stdin)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cmd.ExecuteContext(ctx)
}

// newCommand declares the command line.
func newCommand(stdin io.Reader) *cobra.Command {
	var (
		opts        options
		exitOnStdin bool
	)
	root := &cobra.Command{
		Use:   "devcluster --dir DIR",
		Short: "Run a Kubernetes control plane in one process tree, for development and tests",
		Long: `devcluster runs etcd, kube-apiserver and kube-controller-manager on free ports of 127.0.0.1 until
it is told to stop. Data, certificates, logs and kubeconfig lie in one directory; started again on
the same directory it goes on with the same data, ports and credentials.`,
		Example: `  devcluster --dir .devcluster
  KUBECONFIG=.devcluster/kubeconfig devcluster kubectl get namespaces`,
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.complete(); err != nil {
				return usageError{err}
			}
			ctx := cmd.Context()
			if exitOnStdin {
				ctx = untilEOF(ctx, stdin)
			}
			return serve(ctx, opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	opts.bind(root.Flags())
	root.Flags().BoolVar(&exitOnStdin, "exit-on-stdin-eof", false,
		"stop when standard input is closed, so that a test which dies takes its cluster with it")
	root.AddCommand(newVersionCommand(), newKubectlHelp())
	return root
}

// newVersionCommand prints the Kubernetes version that is served.
func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of Kubernetes inside",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "Kubernetes", version.Get().GitVersion)
			return err
		},
	}
}

// newKubectlHelp lists kubectl in the help text. It never runs: the word is taken by run before.
func newKubectlHelp() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl [ARGS]",
		Short:              "The real kubectl; it reads $KUBECONFIG as usual",
		DisableFlagParsing: true,
		Run:                func(*cobra.Command, []string) {},
	}
}

// noArgs refuses positional arguments as bad usage.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q; see devcluster --help", args[0])}
	}
	return nil
}

// untilEOF returns a context that also ends when r does. The reading goroutine lives as long as the
// process: a blocked read of standard input cannot be taken back.
func untilEOF(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, r)
	}()
	return ctx
}
