package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/reload"
)

// onlyFiles refuses a config in the cluster: commands besides the daemon itself contact nothing, or
// nothing before the config is known.
func onlyFiles(paths []string) error {
	for _, path := range paths {
		name, ok, err := reload.ParseConfigMap(path)
		if err != nil {
			return err
		}
		if ok {
			return fmt.Errorf("%s: a ConfigMap is for --config; to read its keys as files: "+
				"kubectl get configmap %s -n %s -o jsonpath='{.data.KEY}' | kooperd … -", path, name.Name, name.Namespace)
		}
	}
	return nil
}

// loadConfig loads a config, checks it by what is known of custom kinds, and writes its mistakes to
// w, a line each.
func loadConfig(
	ctx context.Context, w io.Writer, registry *handlers.Registry, paths []string, custom kinds.CustomKinds,
) (*config.Config, error) {
	if err := onlyFiles(paths); err != nil {
		return nil, err
	}
	cfg, err := config.Load(ctx, paths, config.Options{Registry: registry, Kinds: knownKinds(custom)})
	if mistakes, ok := errors.AsType[config.Diagnostics](err); ok {
		_, _ = fmt.Fprintln(w, mistakes.Error())
		return nil, fmt.Errorf("bad config: %w", errSilent)
	}
	if err != nil {
		return nil, fmt.Errorf("loading config: %w", err)
	}
	return cfg, nil
}

// validateFlags are the settings of the command validate.
type validateFlags struct {
	json    bool
	live    bool
	crds    crdFlags
	as      string
	maps    []string // of the config
	cluster clusterFlags
}

const validateLong = `validate checks the files as one config, by the schema and by each plugin's own rules. It reads nothing else, neither
environment nor secrets, and contacts nothing. Mistakes are printed one per line, and the exit status is 2.

The fields of built-in kinds are known, and those of custom kinds that the config declares, or by their
CustomResourceDefinitions (--crds): expressions and templates are checked by them.

A FILE may be a directory, a pipe, or - for standard input. What comes through a pipe has no name to tell its language by:
it is read as JSON if it begins like JSON, as YAML if a line of it can only be YAML, and as CUE otherwise.

With --live a good config is then checked against the cluster: whether its expressions and templates fit the schemas of
the custom kinds that the cluster has, whether it serves the kinds and resources, has the
namespaces, accepts the selectors, and grants the rights that the config needs, to the user of the kubeconfig or to another
one (--as). What is missing is printed one per line, rights in a form that can be pasted into a Role, and the exit status
is 1. Nothing is changed in the cluster. It takes no longer than --timeout. With --configmap NAMESPACE/NAME it also asks for
the rights to read the config from that ConfigMap while kooperd runs; what it checks is the config in the files.`

func newValidateCommand(registry *handlers.Registry) *cobra.Command {
	var flags validateFlags
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check config files, and with --live whether they work in a cluster",
		Long:  validateLong,
		Example: "  kooperd validate controllers.cue\n" +
			"  kooperd validate --crds config/crd controllers.cue\n" +
			"  kooperd validate --live --as system:serviceaccount:kooper-system:kooperd controllers.cue",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.cluster.check(cmd.Flags(), flags.live); err != nil {
				return err
			}
			if len(flags.maps) > 0 && !flags.live {
				return errors.New("--configmap is for --live")
			}
			return validate(cmd, registry, args, flags)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&flags.json, "json", false, "print one JSON object per mistake and nothing for a good config")
	flags.crds.add(f)
	f.BoolVar(&flags.live, "live", false, "ask the cluster, too: kinds, namespaces, selectors and rights")
	f.StringVar(&flags.as, "as", "",
		"user whose rights --live asks for, such as system:serviceaccount:NAMESPACE:NAME; default: that of the kubeconfig")
	addConfigMaps(f, &flags.maps)
	flags.cluster.add(f, "for --live")
	return cmd
}

func validate(cmd *cobra.Command, registry *handlers.Registry, paths []string, flags validateFlags) error {
	stdout := cmd.OutOrStdout()
	if err := onlyFiles(paths); err != nil {
		return err
	}
	custom, err := flags.crds.read()
	if err != nil {
		return err
	}
	var files *config.Files
	evaluated := func(custom kinds.CustomKinds) (*config.Config, error) {
		cfg, _, err := config.Evaluate(cmd.Context(), files, config.Options{Registry: registry, Kinds: knownKinds(custom)})
		return cfg, err
	}
	var cfg *config.Config
	if files, err = config.Read(cmd.Context(), paths); err == nil {
		cfg, err = evaluated(custom)
	}
	if mistakes, ok := errors.AsType[config.Diagnostics](err); ok {
		return writeMistakes(stdout, mistakes, flags.json)
	}
	if err != nil {
		return fmt.Errorf("loading config: %w", err)
	}
	found := ""
	if custom, err = declaredKinds(cfg, custom); err != nil {
		return err
	}
	if flags.live {
		again := func(custom kinds.CustomKinds) error {
			_, err := evaluated(custom)
			return err
		}
		if found, err = validateLive(cmd, cfg, custom, flags, again); err != nil {
			return err
		}
	}
	if flags.json {
		return nil
	}
	return printed(fmt.Fprintf(stdout, "ok: %s in %s%s\n",
		plural(len(cfg.Definitions), "definition", "definitions"), plural(len(cfg.Files), "file", "files"), found))
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
