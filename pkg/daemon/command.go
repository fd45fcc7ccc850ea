package daemon

import (
	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/handlers"
)

const rootLong = `kooperd runs the Kubernetes controllers that a config file declares, all under one lease.

A config that changes is read again, and SIGHUP asks for that: a definition that is the same goes on, one that is
different is replaced, and a config with a mistake changes nothing.

SIGTERM and SIGINT ask for a clean stop; a second one ends the process at once.

Memory: unless GOMEMLIMIT is set, the Go runtime is given nine tenths of the memory that the cgroup allows.

Exit status: 0 stopped as asked, 1 failure at run time, 2 bad usage or bad config (nothing was contacted,
unless the config is in the cluster), 3 leadership lost.`

// newRootCommand returns the whole command line. isProgram is as in Options.
func newRootCommand(registry *handlers.Registry, isProgram bool) *cobra.Command {
	flags := runFlags{evaluateInChild: isProgram}
	root := &cobra.Command{
		Use:           "kooperd --config FILE",
		Short:         "Run many Kubernetes controllers declared in one file",
		Long:          rootLong,
		Example:       "  kooperd --config controllers.cue\n  kooperd --config configmap:kooper-system/controllers\n  kooperd validate controllers.cue",
		Args:          noArguments,
		SilenceUsage:  true,
		SilenceErrors: true,
		// How many letters may differ in a name that is suggested for a command that there is not.
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), cmd.ErrOrStderr(), registry, flags)
		},
	}
	flags.add(root.Flags())
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newValidateCommand(registry), newPrintCommand(registry), newPluginsCommand(registry),
		newSchemaCommand(registry), newCRDsCommand(registry), newRBACCommand(registry), newFenceCommand(registry), newOrphansCommand(registry),
		newTestCommand(registry), newTreeCommand(), newStatusCommand(), newExplainCommand(), newTryCommand(registry), newPlanCommand(registry), newVersionCommand())
	if isProgram {
		root.AddCommand(newEvaluateCommand(registry))
	}
	return root
}
