package daemon

import (
	"context"
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
	"kooperd.dev/kooperd/pkg/kinds"
)

// rbacFlags are the settings of the command rbac.
type rbacFlags struct {
	format         string
	serviceAccount string
	namespace      string
	name           string
	crds           crdFlags
	configMaps     []string
	live           bool
	cluster        clusterFlags
}

const helmValues = "helm-values"

const rbacLong = `rbac prints the Roles and ClusterRoles with exactly the rights that a config needs: to list and watch what its definitions
watch, what their plugins need, and to hold the lease. A definition with watch.namespaces gets a Role in each of them, any
other a ClusterRole. Paused definitions get nothing. With --service-account the roles are bound to it.

If kooperd reads its config from a ConfigMap (--config configmap:NAMESPACE/NAME), --configmap NAMESPACE/NAME adds the rights
to read and watch that one, and to keep the last accepted config beside it.

It contacts nothing. The resources of built-in kinds are known; those of custom kinds are those that
the config declares, or are found in CustomResourceDefinitions (--crds) or by asking the cluster (--live).

--format helm-values prints the values rbac.rules and, for composers, rbac.composers of the Helm chart. The rights to the
lease and to the config are left out: the chart grants them by its own values.`

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
	flags.crds.add(f)
	addConfigMaps(f, &flags.configMaps)
	f.BoolVar(&flags.live, "live", false, "ask the cluster for the resources of all kinds")
	flags.cluster.add(f, "for --live")
	return cmd
}

func printRBAC(cmd *cobra.Command, registry *handlers.Registry, paths []string, flags rbacFlags) error {
	if err := flags.cluster.check(cmd.Flags(), flags.live); err != nil {
		return err
	}
	account, err := flags.check()
	if err != nil {
		return err
	}
	custom, err := flags.crds.read()
	if err != nil {
		return err
	}
	cfg, err := loadConfig(cmd.Context(), cmd.ErrOrStderr(), registry, paths, custom)
	if err != nil {
		return err
	}
	if custom, err = declaredKinds(cfg, custom); err != nil {
		return err
	}
	source, err := parseConfigMaps(flags.configMaps)
	if err != nil {
		return err
	}
	needs, notes, err := flags.needs(cmd.Context(), cmd.ErrOrStderr(), cfg, source, account, custom)
	if err != nil {
		return err
	}
	if flags.format == helmValues {
		for _, note := range notes {
			cmd.PrintErrln("kooperd: " + note)
		}
		return writeHelmValues(cmd.OutOrStdout(), needs, access.NeedsRecords(cfg))
	}
	if len(source.ConfigMaps) > 0 {
		notes = append(notes, "RBAC cannot limit the right to create to a name, so kooperd may create any ConfigMap in namespace "+
			source.Accepted.Namespace)
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

// needs returns what a config needs, and notes for the reader of the roles.
func (f rbacFlags) needs(ctx context.Context, stderr io.Writer, cfg *config.Config, source access.ConfigSource,
	account types.NamespacedName, custom kinds.CustomKinds) (
	needs []access.Requirement, notes []string, err error,
) {
	namespace := ""
	if access.NeedsLease(cfg, source) || access.NeedsRecords(cfg) {
		var note string
		if namespace, note, err = podLeaseNamespace(cfg.LeaderElection, f.namespace, account); err != nil {
			return nil, nil, err
		}
		if note != "" {
			notes = append(notes, note)
		}
		if namespace == "" && f.format != helmValues {
			return nil, nil, errors.New("the config does not say where the lease is: use --namespace or --service-account, " +
				"or set leaderElection.namespace")
		}
	}
	if f.live {
		needs, warnings, err := f.askCluster(ctx, stderr, cfg, source, namespace)
		return needs, append(notes, warnings...), err
	}
	table := kinds.BuiltIn().With(custom.Resources()...)
	needs, err = access.OfConfig(ctx, cfg, source, namespace, table)
	return needs, append(notes, access.Warnings(ctx, cfg, table)...), unknownRights(err)
}

// askCluster returns what a config needs, and warnings, by the resources that the cluster serves.
func (f rbacFlags) askCluster(
	ctx context.Context, stderr io.Writer, cfg *config.Config, source access.ConfigSource, namespace string,
) (needs []access.Requirement, warnings []string, err error) {
	where, err := loadClusterConfig(f.cluster.kubeconfig, f.cluster.context)
	if err != nil {
		return nil, nil, err
	}
	cluster, err := connect(where)
	if err != nil {
		return nil, nil, &runError{err}
	}
	defer cluster.Close()
	var answer error
	if err := ask(ctx, stderr, where, f.cluster.timeout, func(ctx context.Context) error {
		needs, answer = access.OfConfig(ctx, cfg, source, namespace, cluster.Kinds())
		warnings = access.Warnings(ctx, cfg, cluster.Kinds())
		return access.CannotAsk(answer)
	}); err != nil {
		return nil, nil, &runError{fmt.Errorf("asking the cluster: %w", err)}
	}
	return needs, warnings, unknownRights(answer)
}

// check looks at the flags alone.
func (f rbacFlags) check() (account types.NamespacedName, err error) {
	if err := checkFormat(f.format, "yaml", "json", helmValues); err != nil {
		return account, err
	}
	if f.live && len(f.crds.paths) > 0 {
		return account, errors.New("--crds and --live are two ways to the same answer: use one of them")
	}
	if f.format == helmValues && len(f.configMaps) > 0 {
		return account, errors.New("--configmap is not for --format helm-values: the chart grants these rights when its value reload is true")
	}
	if problems := content.IsPathSegmentName(f.name); len(problems) > 0 {
		return account, fmt.Errorf("--name %q %s", f.name, strings.Join(problems, "; "))
	}
	if f.serviceAccount != "" {
		return parseServiceAccount(f.serviceAccount)
	}
	return account, nil
}

// roleName is the name of the roles. Two kooperds must not overwrite each other's: ClusterRoles
// have no namespace, and both may watch the same one.
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

// unknownRights writes a line for each part of a config whose rights are not known. That is a
// question to the user, or, when a group of the API server is out of service, a failure.
func unknownRights(err error) error {
	problems := access.Split(err)
	if len(problems) == 0 {
		return nil
	}
	lines := []string{"the rights of some definitions are not known:"}
	failed := false
	for _, problem := range problems {
		lines = append(lines, "  "+problem.Error())
		failed = failed || !kinds.IsAnswer(problem)
	}
	unknown := errors.New(strings.Join(lines, "\n"))
	if failed {
		return &runError{unknown}
	}
	return unknown
}

// writeHelmValues writes the chart's value rbac.rules, and rbac.composers for a config with
// composers.
func writeHelmValues(w io.Writer, needs []access.Requirement, composers bool) error {
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
	rbac := map[string]any{"rules": rules}
	if composers {
		rbac["composers"] = true
	}
	text, err := yaml.Marshal(map[string]any{"rbac": rbac})
	if err != nil {
		return &runError{fmt.Errorf("printing values: %w", err)}
	}
	return printed(w.Write(text))
}
