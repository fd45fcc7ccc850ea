package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// loadConfig loads a config and writes its mistakes to w, a line each.
func loadConfig(ctx context.Context, w io.Writer, registry *handlers.Registry, paths []string) (*config.Config, error) {
	cfg, err := config.Load(ctx, paths, config.Options{Registry: registry})
	if mistakes, ok := errors.AsType[config.Diagnostics](err); ok {
		_, _ = fmt.Fprintln(w, mistakes.Error())
		return nil, fmt.Errorf("bad config: %w", errSilent)
	}
	if err != nil {
		return nil, fmt.Errorf("loading config: %w", err)
	}
	return cfg, nil
}

func newValidateCommand(registry *handlers.Registry) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check config files without contacting anything",
		Long: "validate checks the files as one config, by the schema and by each plugin's own rules. It reads nothing else,\n" +
			"neither environment nor secrets, and contacts nothing. Mistakes are printed one a line, and the exit status is 2.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(cmd.Context(), args, config.Options{Registry: registry})
			if mistakes, ok := errors.AsType[config.Diagnostics](err); ok {
				return writeMistakes(cmd.OutOrStdout(), mistakes, asJSON)
			}
			if err != nil {
				return fmt.Errorf("loading config: %w", err)
			}
			if asJSON {
				return nil
			}
			return printed(fmt.Fprintf(cmd.OutOrStdout(), "ok: %d controllers in %d file(s)\n", len(cfg.Controllers), len(cfg.Files)))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per mistake and nothing for a good config")
	return cmd
}

func writeMistakes(w io.Writer, mistakes config.Diagnostics, asJSON bool) error {
	text := []byte(mistakes.Error() + "\n")
	if asJSON {
		text = mistakes.JSONLines()
	}
	if _, err := w.Write(text); err != nil {
		return &runError{err}
	}
	return errSilent
}

// completeConfigs offers the files that can be a config, and directories.
func completeConfigs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"cue", "yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
}
