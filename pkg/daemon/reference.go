package daemon

import (
	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/handlers"
)

// NewCommand returns the command line of a binary with the plugins of the registry, for programs
// that describe it: docs/generate writes the reference page from it. To run it use Main or Run,
// which also give the exit status.
func NewCommand(registry *handlers.Registry) *cobra.Command {
	root := newRootCommand(registry, false)
	root.InitDefaultCompletionCmd()
	return root
}
