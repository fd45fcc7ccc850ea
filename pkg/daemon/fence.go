package daemon

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/fence"
	"kooperd.dev/kooperd/pkg/handlers"
)

// fenceFlags are the settings of the command fence.
type fenceFlags struct {
	configs           []string
	serviceAccount    string
	namespace         string
	format            string
	allowEveryReplica bool
}

const fenceLong = `fence prints a ValidatingAdmissionPolicy and its binding, with which the API server itself refuses every write by a pod of
the service account that does not hold the lease. It contacts nothing: install what it prints with kubectl apply, which
takes the rights of a cluster administrator and Kubernetes 1.30 or later.

The pods must tell kooperd who they are, by POD_NAME and POD_UID from the downward API, and the service account must
belong to kooperd with this config alone: nothing else may write with it. For that reason a config is refused some of
whose definitions run on every replica, because the fence would keep them from writing on all replicas but one;
--allow-every-replica is for those whose handlers write nothing in the cluster.`

func newFenceCommand(registry *handlers.Registry) *cobra.Command {
	var flags fenceFlags
	cmd := &cobra.Command{
		Use:     "fence --config FILE --service-account NAMESPACE/NAME",
		Short:   "Print an admission policy that lets only the holder of the lease write",
		Long:    fenceLong,
		Example: "  kooperd fence --config controllers.cue --service-account kooper-system/kooperd | kubectl apply -f -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printFence(cmd, registry, flags)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&flags.configs, "config", "c", nil, "config file (.cue, .yaml, .yml, .json) or directory; may be repeated, the parts are unified")
	f.StringVar(&flags.serviceAccount, "service-account", "", "service account of kooperd's pods, as NAMESPACE/NAME")
	f.StringVarP(&flags.namespace, "namespace", "n", "", "namespace of the lease when the config names none; default: the service account's")
	f.StringVarP(&flags.format, "format", "o", "yaml", "yaml or json")
	f.BoolVar(&flags.allowEveryReplica, "allow-every-replica", false, "accept definitions that run on every replica; whatever they write is refused on all replicas but one")
	return cmd
}

func printFence(cmd *cobra.Command, registry *handlers.Registry, flags fenceFlags) error {
	if err := checkFormat(flags.format, "yaml", "json"); err != nil {
		return err
	}
	if len(flags.configs) == 0 {
		return errors.New("no config: use --config FILE")
	}
	if flags.serviceAccount == "" {
		return errors.New("no service account: use --service-account NAMESPACE/NAME")
	}
	account, err := parseServiceAccount(flags.serviceAccount)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(cmd.Context(), cmd.ErrOrStderr(), registry, flags.configs, nil)
	if err != nil {
		return err
	}
	notes, err := checkFenceable(cfg, flags.allowEveryReplica)
	if err != nil {
		return err
	}
	for _, note := range notes {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "kooperd: warning: %s\n", note)
	}
	namespace, note, err := podLeaseNamespace(cfg.LeaderElection, flags.namespace, account)
	if err != nil {
		return err
	}
	lease := types.NamespacedName{Namespace: namespace, Name: cfg.LeaderElection.Name}
	policy, err := fence.New(fence.Options{Lease: lease, ServiceAccount: account})
	if err != nil {
		return err
	}
	if note != "" {
		notes = append(notes, note)
	}
	return writeFence(cmd.OutOrStdout(), flags.format, policy, notes)
}

// checkFenceable returns what the user has to know of a fence for cfg, or why there can be none.
func checkFenceable(cfg *config.Config, allowEveryReplica bool) (notes []string, err error) {
	if cfg.LeaderElection.Disabled {
		return nil, errors.New(`leaderElection is "disabled" in the config: without a lease there is no holder to tell apart`)
	}
	if cfg.LeaderElection.Lock != config.LeaseLock {
		return nil, fmt.Errorf("leaderElection.lock is %q in the config: the fence goes by the holder of a Lease", cfg.LeaderElection.Lock)
	}
	var everyReplica []string
	for _, c := range cfg.Definitions {
		if c.EveryReplica {
			everyReplica = append(everyReplica, c.Name)
		}
	}
	switch {
	case len(everyReplica) == len(cfg.Definitions):
		return nil, errors.New("no definition in the config runs under the lease: no replica would ever hold it")
	case len(everyReplica) == 0:
		return nil, nil
	case !allowEveryReplica:
		return nil, fmt.Errorf("the fence would refuse what these definitions write, because they run on every replica: %s; "+
			"give them their own config and service account, or use --allow-every-replica if their handlers write nothing in the cluster",
			strings.Join(everyReplica, ", "))
	}
	return []string{"these definitions run on every replica, and all that they write is refused on the replicas that do not hold the lease: " +
		strings.Join(everyReplica, ", ")}, nil
}

// writeFence writes both objects so that kubectl can read them.
func writeFence(w io.Writer, format string, f fence.Fence, notes []string) error {
	if err := writeManifests(w, format, notes, f.Policy, f.Binding); err != nil {
		return &runError{fmt.Errorf("printing the fence: %w", err)}
	}
	return nil
}
