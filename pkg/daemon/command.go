package daemon

import (
	"time"

	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// runFlags are the process-level settings.
type runFlags struct {
	configs    []string
	kubeconfig string
	context    string
	servingFlags
	leaderElect     bool
	shutdownTimeout time.Duration
	shutdownDelay   time.Duration
	logFormat       string
	verbosity       int
}

const rootLong = `kooperd runs the Kubernetes controllers that a config file declares, all under one lease.

Memory: unless GOMEMLIMIT is set, garbage is collected so that nine tenths of what the cgroup allows suffice if they can.

Exit status: 0 stopped as asked, 1 failure at run time, 2 bad usage or bad config (nothing was contacted),
3 leadership lost.`

func newRootCommand(registry *handlers.Registry) *cobra.Command {
	var flags runFlags
	root := &cobra.Command{
		Use:           "kooperd --config FILE",
		Short:         "Run many Kubernetes controllers declared in one file",
		Long:          rootLong,
		Example:       "  kooperd --config controllers.cue\n  kooperd validate controllers.cue",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), cmd.ErrOrStderr(), registry, flags)
		},
	}
	f := root.Flags()
	f.StringArrayVarP(&flags.configs, "config", "c", nil, "config file (.cue, .yaml, .yml, .json) or directory; may be repeated, the parts are unified")
	f.StringVar(&flags.kubeconfig, "kubeconfig", "", "path of a kubeconfig; default: $KUBECONFIG, the pod's service account, or ~/.kube/config")
	f.StringVar(&flags.context, "context", "", "context of the kubeconfig; default: its current-context")
	addServingFlags(root, &flags.servingFlags)
	f.BoolVar(&flags.leaderElect, "leader-elect", true, "compete for the lease as the config says; false runs everything at once, as leaderElection: \"disabled\" does")
	f.DurationVar(&flags.shutdownTimeout, "shutdown-timeout", 25*time.Second, "how long calls under way may go on after SIGTERM before they are cancelled")
	f.DurationVar(&flags.shutdownDelay, "shutdown-delay-duration", 0, shutdownDelayHelp)
	f.StringVar(&flags.logFormat, "log-format", telemetry.FormatAuto, "text, json, or auto: text on a terminal, json otherwise")
	f.IntVarP(&flags.verbosity, "v", "v", 0, "log verbosity: 1 tells of every handler call, 2 and more of kooperd's inside, up to 9 with every request to the API server, without bodies")
	root.AddCommand(newValidateCommand(registry), newPrintCommand(registry), newPluginsCommand(registry),
		newSchemaCommand(registry), newRBACCommand(registry), newFenceCommand(registry), newVersionCommand())
	return root
}
