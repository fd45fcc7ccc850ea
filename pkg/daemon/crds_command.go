package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kinds/crd"
)

// crdsFlags are the settings of the command crds.
type crdsFlags struct {
	format        string
	compare       []string
	live          bool
	allowNarrower bool
	cluster       clusterFlags
}

const crdsLong = `crds prints the CustomResourceDefinitions of the kinds that a config declares, in an order that does not change. kooperd
itself never installs any: kinds come first, then the rights to them, then kooperd.

  kooperd crds FILE | kubectl apply --server-side -f -

With --compare PATH or --live, what is printed is what is different from CustomResourceDefinitions of before: those in a
file or folder, or those of the cluster with the same names. Each line names the version and the field. A change is

  narrower  when an object that was right before may not be right any more, or lose a field: a field that is gone or has
            another type, a field that must be given now, fewer values, tighter bounds, a pattern or a rule that is new, a
            version that is not served any more, or goes while objects may be stored in it (status.storedVersions);
  wider     when more objects are right, and none less;
  other     when the same objects are right, as with another default.

The exit status is 1 when something became narrower, unless --allow-narrower is given. Which of the objects that exist are
not right any more, only the cluster knows. --live needs the right to get customresourcedefinitions.`

func newCRDsCommand(registry *handlers.Registry) *cobra.Command {
	var flags crdsFlags
	cmd := &cobra.Command{
		Use:   "crds FILE...",
		Short: "Print the CustomResourceDefinitions of the kinds in a config, or what became narrower",
		Long:  crdsLong,
		Example: "  kooperd crds website.cue | kubectl apply --server-side -f -\n" +
			"  kooperd crds website.cue --compare deployed/crds.yaml\n" +
			"  kooperd crds website.cue --live",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			return printCRDs(cmd, registry, args, flags)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.format, "format", "o", formatYAML, "yaml or json; with --compare or --live, json or else lines of text")
	f.StringArrayVar(&flags.compare, "compare", nil, "file or folder with CustomResourceDefinitions of before; may be repeated")
	f.BoolVar(&flags.live, "live", false, "compare with the CustomResourceDefinitions of the cluster")
	f.BoolVar(&flags.allowNarrower, "allow-narrower", false, "end with status 0 when something became narrower, too")
	flags.cluster.add(f, "for --live")
	return cmd
}

// check looks at the flags alone.
func (f *crdsFlags) check(cmd *cobra.Command) error {
	if err := checkFormat(f.format, formatYAML, formatJSON); err != nil {
		return err
	}
	if f.live && len(f.compare) > 0 {
		return errors.New("--compare and --live are two things to compare with: use one of them")
	}
	if f.allowNarrower && !f.compares() {
		return errors.New("--allow-narrower is for --compare and --live")
	}
	return f.cluster.check(cmd.Flags(), f.live)
}

func (f *crdsFlags) compares() bool { return f.live || len(f.compare) > 0 }

func printCRDs(cmd *cobra.Command, registry *handlers.Registry, paths []string, flags crdsFlags) error {
	cfg, err := loadConfig(cmd.Context(), cmd.ErrOrStderr(), registry, paths, nil)
	if err != nil {
		return err
	}
	if len(cfg.Kinds) == 0 {
		return errors.New("the config declares no kinds: they stand in kinds, beside controllers")
	}
	if flags.compares() {
		return compareCRDs(cmd, cfg.Kinds, flags)
	}
	objects := make([]map[string]any, len(cfg.Kinds))
	for i, d := range cfg.Kinds {
		if objects[i], err = d.Object(); err != nil {
			return &runError{err}
		}
	}
	write := encodeDocuments
	if flags.format == formatJSON {
		write = encodeList
	}
	return printed(0, write(cmd.OutOrStdout(), nil, objects))
}

// compareCRDs prints what is different from before.
func compareCRDs(cmd *cobra.Command, now []crd.Definition, flags crdsFlags) error {
	var before []crd.Definition
	for _, path := range flags.compare {
		found, err := crd.Read(path)
		if err != nil {
			return err
		}
		before = append(before, found...)
	}
	if flags.live {
		var err error
		if before, err = liveCRDs(cmd, now, flags.cluster); err != nil {
			return err
		}
	}
	changes := crd.Compare(before, now)
	if err := writeChanges(cmd.OutOrStdout(), changes, flags.format); err != nil {
		return &runError{err}
	}
	narrower := 0
	for _, change := range changes {
		if change.Effect == crd.Narrower {
			narrower++
		}
	}
	if narrower > 0 && !flags.allowNarrower {
		return &runError{errSilent}
	}
	return nil
}

func writeChanges(w io.Writer, changes []crd.Change, format string) error {
	if format == formatJSON {
		if changes == nil {
			changes = []crd.Change{}
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(changes)
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "no change")
		return err
	}
	for _, change := range changes {
		if _, err := fmt.Fprintln(w, change); err != nil {
			return err
		}
	}
	return nil
}

// liveCRDs returns those of the cluster that have the names of ours.
func liveCRDs(cmd *cobra.Command, now []crd.Definition, flags clusterFlags) ([]crd.Definition, error) {
	where, err := loadClusterConfig(flags.kubeconfig, flags.context)
	if err != nil {
		return nil, err
	}
	cluster, err := connect(where)
	if err != nil {
		return nil, &runError{err}
	}
	defer cluster.Close()
	clients, err := cluster.Clients("crds", nil, nil)
	if err != nil {
		return nil, &runError{err}
	}
	var found []crd.Definition
	err = ask(cmd.Context(), cmd.ErrOrStderr(), where, flags.timeout, func(ctx context.Context) error {
		for _, d := range now {
			object, err := clients.Dynamic.Resource(crd.Resource).Get(ctx, d.Metadata.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			text, err := object.MarshalJSON()
			if err != nil {
				return err
			}
			live, err := crd.Parse(text)
			if err != nil {
				return err
			}
			found = append(found, live)
		}
		return nil
	})
	if err != nil {
		return nil, &runError{fmt.Errorf("asking the cluster: %w", err)}
	}
	return found, nil
}

// declaredKinds returns what is known of the custom kinds of a config, those in files before them.
func declaredKinds(cfg *config.Config, custom kinds.CustomKinds) (kinds.CustomKinds, error) {
	declared, err := crd.CustomKinds(cfg.Kinds)
	if err != nil {
		return nil, &runError{err}
	}
	return slices.Concat(custom, declared), nil
}
