package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

const (
	// defaultTimeout is what a command that contacts a server may take by default.
	defaultTimeout = 30 * time.Second
	// quietTime is how long it does so without a word on a terminal.
	quietTime = 2 * time.Second
)

// clusterFlags are the settings of a command that asks a cluster something and ends.
type clusterFlags struct {
	kubeconfig string
	context    string
	timeout    time.Duration
}

// add adds the flags; which is when they are used, for example "for --live", and empty for always.
func (f *clusterFlags) add(set *pflag.FlagSet, which string) {
	if which != "" {
		which = " " + which
	}
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "path of a kubeconfig"+which+"; default: $KUBECONFIG, the pod's service account, or ~/.kube/config")
	set.StringVar(&f.context, "context", "", "context of the kubeconfig"+which+"; default: its current-context")
	set.DurationVar(&f.timeout, "timeout", defaultTimeout, "how long the cluster may take to answer"+which)
}

// check refuses the flags where no cluster is asked.
func (f *clusterFlags) check(set *pflag.FlagSet, live bool) error {
	for _, name := range []string{"kubeconfig", "context", "timeout", "as"} {
		if set.Changed(name) && !live {
			return fmt.Errorf("--%s is for --live", name)
		}
	}
	if f.timeout <= 0 {
		return fmt.Errorf("--timeout is %s, want more than 0", f.timeout)
	}
	return nil
}

// ask runs question, which contacts the API server, and returns at the latest after the timeout.
// Credential plugins obey no context, so question may go on afterwards: its results are good only
// if ask returns nil.
func ask(ctx context.Context, stderr io.Writer, where clusterConfig, timeout time.Duration, question func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- question(limited) }()
	quiet := time.NewTimer(quietTime)
	defer quiet.Stop()
	for {
		select {
		case err := <-done:
			if errors.Is(err, context.DeadlineExceeded) {
				err = noAnswer(where, time.Since(began))
			}
			if err != nil {
				first, _, _ := strings.Cut(err.Error(), "\n") // client-go adds general advice on credential plugins
				return errors.New(first)
			}
			return nil
		case <-limited.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("waiting for %s: %w", where.rest.Host, context.Cause(ctx))
			}
			return noAnswer(where, timeout)
		case <-quiet.C:
			if isTerminal(stderr) {
				_, _ = fmt.Fprintf(stderr, "kooperd: waiting for %s, up to %s\n", where.rest.Host, timeout)
			}
		}
	}
}

// noAnswer names the server, and the credential plugin, which may be what hangs.
func noAnswer(where clusterConfig, after time.Duration) error {
	return fmt.Errorf("no answer from %s within %s%s", where.rest.Host, after.Round(time.Second), pluginMayHang(where))
}

// pluginMayHang names the credential plugin; empty if there is none.
func pluginMayHang(where clusterConfig) string {
	if where.rest == nil || where.rest.ExecProvider == nil {
		return ""
	}
	return fmt.Sprintf("; the credential plugin %q of the kubeconfig may hang", filepath.Base(where.rest.ExecProvider.Command))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
