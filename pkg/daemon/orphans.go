package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// orphansFlags are the settings of the command orphans.
type orphansFlags struct {
	delete      bool
	includeData bool
	format      string
	namespace   string
	cluster     clusterFlags
}

const orphansLong = `orphans lists the children that nothing owns any more: objects that this installation of kooperd has made,
- whose definition is not in the config any more,
- whose parent is gone, as after kubectl delete --cascade=orphan, or
- whose kind the definition does not own any more.

It lists in the same way what parents contribute to objects that are no children, as patches. These are shown with the kind
of the object, and (patch).

It looks at the kinds that the config owns, and at those that the definitions have owned before, as the ConfigMap
LEASE-definitions has them. What cannot be looked at is said on standard error.

With --delete it deletes those among them that are provably kooperd's, by their managedFields: an object with copied marks
is listed and never deleted. Each is read again before, and deleted in the very version that was read. What holds data
takes --include-data as well: Namespaces, CustomResourceDefinitions, PersistentVolumes and PersistentVolumeClaims. It refuses
to delete children of a definition that a leader claims; those of a parent that is gone can be deleted at any time, unless
another object has its name, which may be about to adopt them. Patches are withdrawn: the fields that the parent alone has
set go, and the object stays.

It acts as the user of the kubeconfig, who needs the right to list these kinds and those of the parents, and to get the
ConfigMap; and with --delete, to get and delete the objects, or to get and patch those that are patched, and to get the lease
and the ConfigMap of its name.

Exit status: 0 what was asked for is done, 1 something was refused or has failed, 2 bad usage or bad config.`

func newOrphansCommand(registry *handlers.Registry) *cobra.Command {
	var flags orphansFlags
	cmd := &cobra.Command{
		Use:   "orphans FILE...",
		Short: "List the children that nothing owns any more, and with --delete delete them",
		Long:  orphansLong,
		Example: "  kooperd orphans controllers.cue\n" +
			"  kooperd orphans controllers.cue --delete",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			return runOrphans(cmd, registry, args, flags)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&flags.delete, "delete", false, "delete those that are provably kooperd's")
	f.BoolVar(&flags.includeData, "include-data", false,
		"with --delete, delete Namespaces, CustomResourceDefinitions, PersistentVolumes and PersistentVolumeClaims, too")
	f.StringVarP(&flags.format, "format", "o", formatText, "text or json")
	f.StringVarP(&flags.namespace, "namespace", "n", "",
		"namespace of the lease when the config names none; default: that of the kubeconfig's context")
	flags.cluster.add(f, "")
	return cmd
}

// check looks at the flags alone.
func (f *orphansFlags) check(cmd *cobra.Command) error {
	if f.includeData && !f.delete {
		return errors.New("--include-data is for --delete")
	}
	if err := checkFormat(f.format, formatText, formatJSON); err != nil {
		return err
	}
	return f.cluster.check(cmd.Flags(), true)
}

// orphansRun is one run of the command.
type orphansRun struct {
	flags  orphansFlags
	cfg    *config.Config
	where  clusterConfig
	lease  types.NamespacedName
	stdout io.Writer
	stderr io.Writer

	records corev1client.ConfigMapInterface
	client  *compose.Client
	found   *compose.Orphans
}

func runOrphans(cmd *cobra.Command, registry *handlers.Registry, paths []string, flags orphansFlags) error {
	r := &orphansRun{flags: flags, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
	var err error
	if r.cfg, err = loadConfig(cmd.Context(), r.stderr, registry, paths, nil); err != nil {
		return err
	}
	if r.where, err = loadClusterConfig(flags.cluster.kubeconfig, flags.cluster.context); err != nil {
		return err
	}
	if r.lease, err = leaseOf(r.cfg, flags.namespace, r.where); err != nil {
		return err
	}
	cluster, err := connect(r.where)
	if err != nil {
		return &runError{err}
	}
	defer cluster.Close()
	if err := r.connect(cluster); err != nil {
		return &runError{err}
	}
	if err := ask(cmd.Context(), r.stderr, r.where, flags.cluster.timeout, r.search); err != nil {
		return &runError{fmt.Errorf("looking for orphans: %w", err)}
	}
	for _, text := range r.found.Unseen {
		r.note(text)
	}
	if flags.delete {
		return r.deleteAll(cmd.Context())
	}
	return r.print()
}

// note says something that is not the answer.
func (r *orphansRun) note(text string) { _, _ = fmt.Fprintf(r.stderr, "kooperd: %s\n", plain(text)) }

func (r *orphansRun) installation() string {
	return compose.Installation(r.lease.Namespace, r.lease.Name)
}

// connect makes the clients.
func (r *orphansRun) connect(cluster *kube.Cluster) error {
	clients, err := cluster.Clients("orphans", nil, nil)
	if err != nil {
		return err
	}
	core, err := corev1client.NewForConfig(clients.REST)
	if err != nil {
		return fmt.Errorf("making the client for what composers own: %w", err)
	}
	r.records = core.ConfigMaps(r.lease.Namespace)
	r.client, err = compose.NewClient(clients.REST, cluster.Kinds())
	return err
}

// search looks for orphans.
func (r *orphansRun) search(ctx context.Context) error {
	records, _, err := r.readRecords(ctx)
	if err != nil {
		return err
	}
	search := &compose.OrphanSearch{Installation: r.installation(), Claims: claimsOf(r.cfg), Records: records, Client: r.client}
	found, err := search.Run(ctx)
	r.found = found
	return err
}

func (r *orphansRun) readRecords(ctx context.Context) (map[string]compose.Record, bool, error) {
	return compose.ReadRecords(ctx, r.records, access.RecordsName(r.lease.Name))
}

// claimsOf are what the definitions of a config own.
func claimsOf(cfg *config.Config) (claims []compose.Claim) {
	for _, def := range cfg.Definitions {
		if def.Handler.Composes() {
			claims = append(claims, compose.Claim{
				IDs: def.IDs(), Parent: def.Watch.Kind, Owns: compose.OwnedRecords(def.Handler.Owns(), def.Watch.Namespaces),
				Patches: compose.PatchedRecords(def.Handler.Patches(), def.Watch.Namespaces),
			})
		}
	}
	return claims
}

// deleteAll deletes what may be deleted, and says what it has done with each.
func (r *orphansRun) deleteAll(ctx context.Context) error {
	claimed, free, err := r.newClaims()
	if err != nil {
		return &runError{err}
	}
	defer free()
	deletion := &compose.OrphanDeletion{Orphans: r.found, Client: r.client, IncludeData: r.flags.includeData, Claimed: claimed.why}
	timeout := r.flags.cluster.timeout + 2*r.cfg.LeaderElection.LeaseDuration // There are two kinds of locks.
	report := r.report(nil)
	var failed bool
	var interrupted error
	for _, orphan := range deletion.InOrder() {
		line := orphanLine{Orphan: orphan}
		err := ask(ctx, r.stderr, r.where, timeout, func(ctx context.Context) error {
			line.Outcome, line.Message = deletion.Delete(ctx, orphan)
			return ctx.Err()
		})
		if err != nil {
			line.Outcome, line.Message, interrupted = compose.OrphanFailed, err.Error(), ctx.Err()
		}
		failed = failed || line.Outcome == compose.OrphanFailed || line.Outcome == compose.OrphanRefused
		report.Orphans = append(report.Orphans, line)
		if err := r.printOutcome(line); err != nil {
			return err
		}
		if err != nil {
			break // What has hung is at work on the same things.
		}
	}
	if err := r.printOutcomes(report); err != nil {
		return err
	}
	if failed || interrupted != nil {
		return &runError{errSilent}
	}
	return nil
}
