package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/schemas"
)

// formatHash is that of `kooperd print` which is no form of the config.
const formatHash = "hash"

func newPrintCommand(registry *handlers.Registry) *cobra.Command {
	var format string
	var crds crdFlags
	cmd := &cobra.Command{
		Use:   "print FILE...",
		Short: "Print the effective config, defaults included",
		Long: "print prints the effective config, defaults included. With --format hash it prints the hash of the files' contents\n" +
			"alone. A process that runs just these files has the same one in its status, in its log, and as a label of\n" +
			"kooperd_config_info. It is the same wherever the files lie, as long as the CUE files lie the same way to each other.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format, "yaml", "json", "cue", formatHash); err != nil {
				return err
			}
			custom, err := crds.read()
			if err != nil {
				return err
			}
			cfg, err := loadConfig(cmd.Context(), cmd.ErrOrStderr(), registry, args, custom)
			if err != nil {
				return err
			}
			if format == formatHash {
				return printed(fmt.Fprintln(cmd.OutOrStdout(), cfg.Hash))
			}
			text, err := config.Effective(cfg, config.Format(format))
			if err != nil {
				return &runError{err}
			}
			return printed(cmd.OutOrStdout().Write(text))
		},
	}
	cmd.Flags().StringVarP(&format, "format", "o", "yaml", "yaml, json, cue or hash")
	crds.add(cmd.Flags())
	return cmd
}

func newSchemaCommand(registry *handlers.Registry) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the schema of config files, with the plugins of this binary",
		Long: "schema prints the config language for editors and other tools. With --format jsonschema it is a JSON Schema for\n" +
			"YAML and JSON files; with --format cue the CUE package " + schemas.ImportPath + ", which config files may import\n" +
			"without having it on disk.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format, "cue", "jsonschema"); err != nil {
				return err
			}
			write := config.SchemaCUE
			if format == "jsonschema" {
				write = config.JSONSchema
			}
			text, err := write(registry)
			if err != nil {
				return &runError{err}
			}
			return printed(cmd.OutOrStdout().Write(text))
		},
	}
	cmd.Flags().StringVar(&format, "format", "cue", "cue or jsonschema")
	return cmd
}

func checkFormat(have string, want ...string) error {
	if slices.Contains(want, have) {
		return nil
	}
	return fmt.Errorf("unknown format %q, want one of: %s", have, strings.Join(want, ", "))
}
