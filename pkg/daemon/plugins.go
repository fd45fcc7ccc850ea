package daemon

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/handlers"
)

func newPluginsCommand(registry *handlers.Registry) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plugins [NAME]",
		Short: "List the handler plugins of this binary, or show one with its config schema",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return registry.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			names := registry.Names()
			if len(args) == 1 {
				if _, ok := registry.Describe(args[0]); !ok {
					return fmt.Errorf("no plugin named %q; this binary has %s", args[0], enumerated(names, "and"))
				}
				names = args
			}
			return printed(0, writePlugins(cmd.OutOrStdout(), registry, names, len(args) == 1, asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writePlugins(w io.Writer, registry *handlers.Registry, names []string, whole, asJSON bool) error {
	descriptions := make([]handlers.Description, 0, len(names))
	for _, name := range names {
		d, _ := registry.Describe(name)
		descriptions = append(descriptions, d)
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(descriptions)
	}
	if whole {
		d := descriptions[0]
		_, err := fmt.Fprintf(w, "%s: %s\npackage %s\n%s\n%s\n", d.Name, d.Summary, d.Package, abilities(d), strings.TrimSpace(d.Schema))
		return err
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, d := range descriptions {
		if _, err := fmt.Fprintf(table, "%s\t%s\n", d.Name, d.Summary); err != nil {
			return err
		}
	}
	return table.Flush()
}

// abilities are lines about what handlers of a plugin do besides handling objects.
func abilities(d handlers.Description) string {
	var text strings.Builder
	if d.Finalizes {
		text.WriteString("its definitions may have a finalizer\n")
	}
	if d.Composes {
		text.WriteString("makes composers")
		for i, owned := range d.Owns {
			separator := ", "
			if i == 0 {
				separator = ", which by default own "
			}
			text.WriteString(separator + owned.APIVersion + " " + owned.Kind)
		}
		text.WriteString("\n")
	}
	return text.String()
}
