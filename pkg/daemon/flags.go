package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kooperd.dev/kooperd/pkg/server"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// ReferenceAnnotation is the key of the annotation that a flag has when the reference page says
// more about it than --help, which has one line for each flag.
const ReferenceAnnotation = "kooperd.dev/reference"

// runFlags are the process-level settings.
type runFlags struct {
	configs    []string
	reload     bool
	removals   bool
	kubeconfig string
	context    string
	servingFlags
	leaderElect     bool
	shutdownTimeout time.Duration
	shutdownDelay   time.Duration
	logFormat       string
	verbosity       int
	record          recordFlags
	historyLimit    int64

	// evaluateInChild is no flag: Main sets it, Run does not.
	evaluateInChild bool
}

// defaultHistory is enough for the last calls of 20,000 objects.
const defaultHistory = 4 << 20

// add declares the flags of the command without a subcommand.
func (f *runFlags) add(set *pflag.FlagSet) {
	set.StringArrayVarP(&f.configs, "config", "c", nil, "config file, directory or configmap:NAMESPACE/NAME")
	explain(set, "config", "config file (.cue, .yaml, .yml, .json), directory, or configmap:NAMESPACE/NAME, which is read through the API server; "+
		"may be repeated, the parts are unified")
	set.BoolVar(&f.reload, "reload", true, "read the config again when it changes, or at SIGHUP")
	explain(set, "reload", "read the config again when it changes, or at SIGHUP: files are compared every two seconds, a ConfigMap is watched. "+
		"What comes through a pipe is read once")
	set.BoolVar(&f.removals, "allow-removals", false, "accept a changed config however many definitions it lacks")
	explain(set, "allow-removals", "accept a changed config however many definitions it lacks, and a file that is the beginning of the one before. "+
		"Without it such definitions have to be named in `removed`")
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "path of a kubeconfig; default as for kubectl")
	explain(set, "kubeconfig", "path of a kubeconfig; default: $KUBECONFIG, the pod's service account, or ~/.kube/config")
	set.StringVar(&f.context, "context", "", "context of the kubeconfig; default: its current-context")
	f.servingFlags.add(set)
	set.BoolVar(&f.leaderElect, "leader-elect", true, "compete for the lease, or run everything at once")
	explain(set, "leader-elect", `compete for the lease as the config says; false runs everything at once, as leaderElection: "disabled" does`)
	set.DurationVar(&f.shutdownTimeout, "shutdown-timeout", 25*time.Second, "how long calls may go on after SIGTERM")
	explain(set, "shutdown-timeout", "how long calls under way may go on after SIGTERM or SIGINT before they are canceled")
	set.DurationVar(&f.shutdownDelay, "shutdown-delay-duration", 0, "how long a leader goes on after SIGTERM")
	explain(set, "shutdown-delay-duration", "how long a replica that leads goes on leading and working after the first SIGTERM or SIGINT, "+
		"while /readyz says 503. A second signal, or the loss of the lease, ends the delay. Replicas that do not lead, and all "+
		"without leader election, stop at once. terminationGracePeriodSeconds has to be longer than this and --shutdown-timeout "+
		"together, by ten seconds")
	set.StringVar(&f.record.dir, "record", "", "folder that gets cases for kooperd test, from the calls of composers")
	explain(set, "record", "folder that gets cases for `kooperd test`, one file a call of a composer, as far as it is another one than those before. "+
		"Values of Secrets are left out; all else that composers read is in them. It is for a while, not for always. Default: none is written")
	set.IntVar(&f.record.limit, "record-limit", 20, "how many cases --record keeps of a definition")
	set.Int64Var(&f.historyLimit, "history-limit", defaultHistory, "bytes for the last calls of objects; 0 for none")
	explain(set, "history-limit", "how many bytes may be used, at most, to remember the last calls for each object: why it was handled, what had changed, "+
		"what was written, and how that ended. Five are kept of an object; what was handled longest ago goes first. "+
		"0 remembers none. The garbage collector needs about as much again")
	set.StringVar(&f.logFormat, "log-format", telemetry.FormatAuto, "text, json, or auto")
	explain(set, "log-format", "text, json, or auto: text on a terminal, json otherwise")
	set.IntVarP(&f.verbosity, "v", "v", 0, fmt.Sprintf("log verbosity, from 0 to %d", telemetry.MaxVerbosity))
	explain(set, "v", fmt.Sprintf("log verbosity, from 0 to %d: 1 adds every handler call, 2 and more what a developer of kooperd wants to know, "+
		"%[1]d every request to the API server, without bodies", telemetry.MaxVerbosity))
}

// explain gives a flag the text of the reference page.
func explain(set *pflag.FlagSet, name, text string) {
	if err := set.SetAnnotation(name, ReferenceAnnotation, []string{text}); err != nil {
		panic(fmt.Sprintf("daemon: %v", err)) // a flag that is not declared
	}
}

// check returns what cannot be meant.
func (f *runFlags) check(ctx context.Context) error {
	switch {
	case len(f.configs) == 0:
		return errors.New("no config: use --config FILE")
	case f.verbosity < 0 || f.verbosity > telemetry.MaxVerbosity:
		return fmt.Errorf("-v is %d, want a number from 0 to %d", f.verbosity, telemetry.MaxVerbosity)
	case f.record.limit < 1:
		return fmt.Errorf("--record-limit is %d, want 1 or more", f.record.limit)
	case f.historyLimit < 0:
		return fmt.Errorf("--history-limit is %d, want 0 or more", f.historyLimit)
	case f.shutdownTimeout < 0:
		return fmt.Errorf("--shutdown-timeout is %s, want 0 or more", f.shutdownTimeout)
	case f.shutdownDelay < 0:
		return fmt.Errorf("--shutdown-delay-duration is %s, want 0 or more", f.shutdownDelay)
	}
	return f.servingFlags.check(ctx)
}

// noArguments refuses arguments of the command without a subcommand. One that looks like a config,
// or like a command, gets a hint.
func noArguments(cmd *cobra.Command, args []string) error {
	err := cobra.NoArgs(cmd, args)
	if err == nil || args[0] == "" {
		return err
	}
	if slices.Contains([]string{".cue", ".yaml", ".yml", ".json"}, filepath.Ext(args[0])) {
		return fmt.Errorf("%w; to run a config: %s --config %s", err, cmd.Name(), args[0])
	}
	// cobra itself adds these only where a command has no function for its arguments.
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		slices.Sort(similar)
		for i, name := range similar {
			similar[i] = strconv.Quote(name)
		}
		return fmt.Errorf("%w; did you mean %s?", err, enumerated(similar, "or"))
	}
	return err
}

// enumerated writes words as a sentence does: a, b and c.
func enumerated(words []string, last string) string {
	n := len(words) - 1
	if n < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}

// flagError gives a hint for the flag that other programs have.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedName() == "version" {
		return fmt.Errorf("%w; the version is printed by: %s version", err, cmd.Root().Name())
	}
	return err
}

// checkAddress returns why a server cannot listen on the value of a flag.
func checkAddress(ctx context.Context, flag, address string) error {
	if address == server.Disabled {
		return nil
	}
	if address == "" {
		return fmt.Errorf(`--%s is empty; to turn the server off use --%s=%s`, flag, flag, server.Disabled)
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil && !strings.ContainsAny(host, "/ ") && port != "" {
		if _, err = net.DefaultResolver.LookupPort(ctx, "tcp", port); err == nil {
			return nil
		}
	}
	return fmt.Errorf(`--%s is %q, want HOST:PORT or :PORT, such as %q, or %q to turn the server off`,
		flag, address, correctAddress(address), server.Disabled)
}

// correctAddress guesses the address that was meant.
func correctAddress(address string) string {
	const port = "8080"
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address, _, _ = strings.Cut(rest, "/")
	}
	if _, p, err := net.SplitHostPort(address); err == nil && p != "" && strings.Trim(p, "0123456789") == "" && len(p) < 5 {
		return address
	}
	if net.ParseIP(address) != nil && strings.Count(address, ":") < 3 && strings.Contains(address, ".") {
		return net.JoinHostPort(address, port)
	}
	if i := strings.LastIndex(address, ":"); i > 0 && net.ParseIP(address[:i]) != nil {
		return net.JoinHostPort(address[:i], address[i+1:])
	}
	if net.ParseIP(address) != nil {
		return net.JoinHostPort(address, port)
	}
	if address != "" && strings.Trim(address, "0123456789") == "" && len(address) < 5 {
		return ":" + address
	}
	return ":" + port
}

// sameAddress reports whether two servers cannot listen on a and b at once.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	anyHost := func(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }
	return hostA == hostB || anyHost(hostA) || anyHost(hostB)
}
