package daemon

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// rbacFlags are the settings of the command rbac.
type rbacFlags struct {
	format         string
	serviceAccount string
	namespace      string
	name           string
	crds           []string
	live           bool
	kubeconfig     string
}

const helmValues = "helm-values"

const rbacLong = `rbac prints the Roles and ClusterRoles with exactly the rights that a config needs: to list and watch what its definitions
watch, what their plugins say that they need, and to hold the lease. A definition with watch.namespaces gets a Role in each
of them, any other a ClusterRole. Definitions that are paused get nothing. With --service-account the roles are bound to it.

It contacts nothing. The resources of built-in kinds are known; those of custom kinds are found in their
CustomResourceDefinitions (--crds) or by asking the cluster (--live).

--format helm-values prints the value rbac.rules of the Helm chart, without the rights to the lease, which the chart grants
by its own values.`

func newRBACCommand(registry *handlers.Registry) *cobra.Command {
	var flags rbacFlags
	cmd := &cobra.Command{
		Use:   "rbac FILE...",
		Short: "Print the RBAC roles that a config needs",
		Long:  rbacLong,
		Example: "  kooperd rbac controllers.cue --service-account kooper-system/kooperd | kubectl apply -f -\n" +
			"  kooperd rbac controllers.cue --crds config/crd --format helm-values >rbac.yaml",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return printRBAC(cmd, registry, args, flags)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.format, "format", "o", "yaml", "yaml, json or helm-values")
	f.StringVar(&flags.serviceAccount, "service-account", "", "bind the roles to this service account, as NAMESPACE/NAME")
	f.StringVarP(&flags.namespace, "namespace", "n", "", "namespace of the lease when the config names none; default: the service account's")
	f.StringVar(&flags.name, "name", "", `name of the roles and bindings; default: "kooperd:NAMESPACE:NAME" of the service account, else "kooperd"`)
	f.StringArrayVar(&flags.crds, "crds", nil, "file or folder with CustomResourceDefinitions; may be repeated")
	f.BoolVar(&flags.live, "live", false, "ask the cluster for the resources of all kinds")
	f.StringVar(&flags.kubeconfig, "kubeconfig", "", "path of a kubeconfig for --live; default: $KUBECONFIG, the pod's service account, or ~/.kube/config")
	return cmd
}

func printRBAC(cmd *cobra.Command, registry *handlers.Registry, paths []string, flags rbacFlags) error {
	account, err := flags.check()
	if err != nil {
		return err
	}
	cfg, err := loadConfig(cmd.Context(), cmd.ErrOrStderr(), registry, paths)
	if err != nil {
		return err
	}
	kinds, err := flags.kinds()
	if err != nil {
		return err
	}
	namespace, notes := flags.leaseNamespace(cfg, account)
	if namespace == "" && flags.format != helmValues && access.NeedsLease(cfg) {
		return errors.New("the config does not say where the lease is: use --namespace or --service-account, or set leaderElection.namespace")
	}
	needs, err := access.OfConfig(cmd.Context(), cfg, namespace, kinds)
	if err != nil {
		return unknownKinds(err)
	}
	if flags.format == helmValues {
		return writeHelmValues(cmd.OutOrStdout(), needs)
	}
	roles := access.Collect(needs).Roles(access.RolesOptions{Name: flags.roleName(account), ServiceAccount: account})
	if len(roles) == 0 {
		notes = append(notes, "this config needs no rights")
	}
	if err := writeManifests(cmd.OutOrStdout(), flags.format, notes, roles...); err != nil {
		return &runError{fmt.Errorf("printing roles: %w", err)}
	}
	return nil
}

// check looks at the flags alone.
func (f rbacFlags) check() (account types.NamespacedName, err error) {
	if err := checkFormat(f.format, "yaml", "json", helmValues); err != nil {
		return account, err
	}
	if f.live && len(f.crds) > 0 {
		return account, errors.New("--crds and --live are two ways to the same answer: use one of them")
	}
	if f.kubeconfig != "" && !f.live {
		return account, errors.New("--kubeconfig is for --live")
	}
	if problems := content.IsPathSegmentName(f.name); len(problems) > 0 {
		return account, fmt.Errorf("--name %q %s", f.name, strings.Join(problems, "; "))
	}
	if f.serviceAccount != "" {
		return parseServiceAccount(f.serviceAccount)
	}
	return account, nil
}

// roleName is the name of the roles. Two kooperds must not overwrite each other's, of which some are in the whole cluster, or in a
// namespace that both watch.
func (f rbacFlags) roleName(account types.NamespacedName) string {
	switch {
	case f.name != "":
		return f.name
	case account.Name != "":
		return "kooperd:" + account.Namespace + ":" + account.Name
	default:
		return "kooperd"
	}
}

// kinds returns the way to find the resources of kinds.
func (f rbacFlags) kinds() (access.Kinds, error) {
	if f.live {
		where, err := loadClusterConfig(f.kubeconfig)
		if err != nil {
			return nil, err
		}
		cluster, err := connect(where)
		if err != nil {
			return nil, err
		}
		return access.Live{Mapper: cluster.Mapper()}, nil
	}
	table := access.BuiltIn()
	for _, path := range f.crds {
		if err := table.AddCRDs(path); err != nil {
			return nil, err
		}
	}
	return table, nil
}

// leaseNamespace finds the lease as the daemon does in a pod, and says so if the config does not. Empty means that nobody says.
func (f rbacFlags) leaseNamespace(cfg *config.Config, account types.NamespacedName) (namespace string, notes []string) {
	switch {
	case !access.NeedsLease(cfg):
		return "", nil
	case cfg.LeaderElection.Namespace != "":
		return cfg.LeaderElection.Namespace, nil
	case f.namespace != "":
		return f.namespace, []string{"the config names no namespace for the lease; this one is --namespace, and must be $POD_NAMESPACE of the pods"}
	case account.Namespace != "":
		return account.Namespace, []string{"the config names no namespace for the lease; this one is the service account's, where kooperd looks for it in a pod"}
	}
	return "", nil
}

// unknownKinds tells of definitions whose kinds nobody knows, a line each; that is a question to the user. When the cluster could
// not be asked, it is a failure.
func unknownKinds(err error) error {
	joined, ok := err.(interface{ Unwrap() []error }) // made by errors.Join right before
	if !ok {
		return err
	}
	lines := []string{"the rights of some definitions cannot be told:"}
	failed := false
	for _, e := range joined.Unwrap() {
		lines = append(lines, "  "+e.Error())
		failed = failed || !access.IsAnswer(e)
	}
	told := errors.New(strings.Join(lines, "\n"))
	if failed {
		return &runError{told}
	}
	return told
}

// writeHelmValues writes the chart's value rbac.rules.
func writeHelmValues(w io.Writer, needs []access.Requirement) error {
	var definitions []access.Requirement
	for _, need := range needs {
		if need.Definition != "" {
			definitions = append(definitions, need)
		}
	}
	grants := access.Collect(definitions)
	rules := map[string]any{"cluster": []rbacv1.PolicyRule{}, "namespaces": map[string][]rbacv1.PolicyRule{}}
	if grants.Cluster != nil {
		rules["cluster"] = grants.Cluster
	}
	if grants.Namespaces != nil {
		rules["namespaces"] = grants.Namespaces
	}
	text, err := yaml.Marshal(map[string]any{"rbac": map[string]any{"rules": rules}})
	if err != nil {
		return &runError{fmt.Errorf("printing values: %w", err)}
	}
	return printed(w.Write(text))
}
