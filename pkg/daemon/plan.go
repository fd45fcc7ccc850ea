package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// planFlags are the settings of the command plan.
type planFlags struct {
	definitions []string
	dryRun      string
	external    externalFlags
	all         bool
	format      string
	namespace   string
	tryView
	cluster clusterFlags
}

// The ways in which a plan is confirmed by the API server.
const (
	dryRunServer = "server"
	dryRunNone   = "none"
)

// planTimeout is how long a whole plan may take: there may be many dry runs.
const planTimeout = 10 * time.Minute

const planLong = `plan shows what kooperd would do if it read these files now, compared with what there is in the cluster. It works that
out for every object that the definitions handle, by the code of a running kooperd, and changes nothing: it reads each kind
once, and sends what would be written as a dry run. kooperd may run meanwhile.

On definitions that are gone from the files, or that handle other objects now, it goes by the ConfigMap in which kooperd has
noted what they had: what becomes of their children is what onRemove says. Of definitions whose plugin acts by itself, such as
log and exec, it says how many objects they would handle: what they do is known only when they do it. A program or a service
that says what should exist is run or called only with --run-programs or --hook. That it changes nothing is its own promise.

It acts as the user of the kubeconfig, who needs the rights that kooperd has for these definitions (kooperd rbac), without
watch. Rights that are missing are named, for each definition with the rules that grant them; the others are worked out
nevertheless. What the API server cannot say in a dry run, because a right is missing, a webhook allows no dry runs, or the
fence lets only the leader write, is worked out here and shown as unconfirmed. With --dry-run=none nothing is sent at all,
and the right to read is enough: defaults are not filled in then, and what the API server would refuse is not known.

Each object is worked out by itself, as it is now: objects that are still to be made are not followed, nor what a change does
to others that read it. What happens later, such as a child that becomes ready, is shown as wait.

An action is create, change, recreate, adopt, handOver (it goes on as the child of another definition), delete, withdraw,
orphan (its marks go), retain, wait, hold (too many would be deleted at once, so kooperd waits for a confirmation), refuse, or object
(status, labels, annotations or finalizers of the object itself). Values of Secrets are never shown, unless --show-secrets is
given. Changes that are the same for many objects are shown once, unless --all is given.

With -o json the answer is one document with the lists definitions, changes and failures. A definition has name, state
(planned, gone, paused, waiting, effectsUnknown, notRun, forbidden or failed), objects, counts (by action), and, where there
is something to say, new, why, missing and notes. A change has definition, object (what is changed for), action, reason, and
child, apiVersion, kind, namespace, name, why, unconfirmed, before and after. A failure has definition, object, error, and at
(the place in the files).

Exit status: 0 nothing would be changed, 4 something would be, also what is held, waits or is unconfirmed, 1 something could
not be worked out, or would be refused, 2 bad usage or bad config.`

func newPlanCommand(registry *handlers.Registry) *cobra.Command {
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "plan FILE...",
		Short: "Show what a config would do to every object in the cluster",
		Long:  planLong,
		Example: "  kooperd plan controllers.cue\n" +
			"  kooperd plan controllers.cue --definition website --all\n" +
			"  kooperd plan controllers.cue --dry-run=none -o json",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			return runPlan(cmd, registry, args, flags)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&flags.definitions, "definition", nil, "name of a definition to plan, also of one that is gone; may be repeated; default: all")
	f.StringVar(&flags.dryRun, "dry-run", dryRunServer, "server: what would be written is sent as a dry run; none: it is not sent")
	flags.external.add(f)
	f.BoolVar(&flags.all, "all", false, "show every change, also where it is the same as another one")
	f.StringVarP(&flags.format, "format", "o", formatText, "text or json")
	f.StringVarP(&flags.namespace, "namespace", "n", "",
		"namespace of the lease when the config names none; default: that of the kubeconfig's context")
	f.BoolVar(&flags.marks, "show-marks", false, "show labels, annotations and owner references of kooperd, too")
	f.BoolVar(&flags.secrets, "show-secrets", false, "show the values of Secrets")
	flags.cluster.add(f, "")
	timeout := f.Lookup("timeout")
	flags.cluster.timeout, timeout.DefValue, timeout.Usage = planTimeout, planTimeout.String(), "how long it may take"
	return cmd
}

// check looks at the flags alone.
func (f *planFlags) check(cmd *cobra.Command) error {
	if f.dryRun != dryRunServer && f.dryRun != dryRunNone {
		return fmt.Errorf("--dry-run is %q, want %s or %s", f.dryRun, dryRunServer, dryRunNone)
	}
	if err := checkFormat(f.format, formatText, formatJSON); err != nil {
		return err
	}
	if err := f.external.parse(); err != nil {
		return err
	}
	return f.cluster.check(cmd.Flags(), true)
}

// planCommand is one run of the command.
type planCommand struct {
	*tryRun // shows objects
	plan    planFlags
	where   clusterConfig
	lease   types.NamespacedName
	cluster *kube.Cluster
	report  planReport
}

// errChanges is the end of a command that has found that there would be changes.
var errChanges = errors.New("there would be changes")

func runPlan(cmd *cobra.Command, registry *handlers.Registry, paths []string, flags planFlags) error {
	c := &planCommand{plan: flags, report: planReport{Definitions: []planDefinition{}, Changes: []planChange{}, Failures: []planFailure{}}}
	c.tryRun = &tryRun{
		flags: tryFlags{tryView: flags.tryView}, registry: registry, paths: paths, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(),
	}
	var err error
	if c.cfg, err = loadConfig(cmd.Context(), c.stderr, registry, paths, nil); err != nil {
		return err
	}
	if err := c.plan.external.check(c.cfg.Definitions); err != nil {
		return err
	}
	if c.where, err = loadClusterConfig(flags.cluster.kubeconfig, flags.cluster.context); err != nil {
		return err
	}
	if c.lease, err = leaseOf(c.cfg, flags.namespace, c.where); err != nil {
		return err
	}
	if c.cluster, err = connect(c.where); err != nil {
		return &runError{err}
	}
	defer c.cluster.Close()
	progress := newPlanProgress(c.stderr)
	var unknown *unknownDefinitionError
	err = ask(cmd.Context(), c.stderr, c.where, flags.cluster.timeout, func(ctx context.Context) error {
		err := c.work(ctx, progress)
		if errors.As(err, &unknown) {
			return nil
		}
		return err
	})
	progress.end()
	switch {
	case err != nil:
		return &runError{fmt.Errorf("planning: %w", err)}
	case unknown != nil:
		return unknown
	}
	if err := c.printPlan(); err != nil {
		return err
	}
	switch {
	case c.report.failed():
		return &runError{errSilent}
	case c.report.changes():
		return errors.Join(errChanges, errSilent)
	}
	return nil
}

// leaseOf is the lease of the installation that a config is for.
func leaseOf(cfg *config.Config, namespace string, where clusterConfig) (types.NamespacedName, error) {
	written := cfg.LeaderElection.Namespace
	if written != "" && namespace != "" && written != namespace {
		return types.NamespacedName{}, fmt.Errorf("--namespace is %q, but the config says leaderElection.namespace: %q", namespace, written)
	}
	return types.NamespacedName{Namespace: cmp.Or(written, namespace, where.namespace), Name: cfg.LeaderElection.Name}, nil
}

// unknownDefinitionError means that --definition names none that there is.
type unknownDefinitionError struct {
	name  string
	known []string
}

func (e *unknownDefinitionError) Error() string {
	return fmt.Sprintf("there is no definition %q; there are: %s", e.name, strings.Join(e.known, ", "))
}

// work works everything out.
func (c *planCommand) work(ctx context.Context, progress *planProgress) error {
	clients, err := c.cluster.Clients("plan", nil, nil)
	if err != nil {
		return err
	}
	core, err := corev1client.NewForConfig(clients.REST)
	if err != nil {
		return fmt.Errorf("making the client for what composers own: %w", err)
	}
	records, err := c.readRecords(ctx, core)
	if err != nil {
		return err
	}
	known := make([]string, 0, len(c.cfg.Definitions)+len(records))
	for _, def := range c.cfg.Definitions {
		known = append(known, def.Name)
	}
	for id := range records {
		known = append(known, id)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for _, name := range c.plan.definitions {
		if !slices.Contains(known, name) {
			return &unknownDefinitionError{name: name, known: known}
		}
	}
	planning := &engine.Planning{
		Config: c.cfg, Installation: compose.Installation(c.lease.Namespace, c.lease.Name), Finder: c.cluster.Kinds(), Live: clients.REST,
		Records: records, Unconfirmed: c.plan.dryRun == dryRunNone, Allow: c.plan.external.allow, Only: c.plan.definitions,
		Progress: progress.show,
	}
	planned, err := planning.Run(ctx)
	if err != nil {
		return err
	}
	for _, d := range planned {
		c.add(ctx, d)
	}
	c.dropDonors()
	c.noteRemovals(records)
	return nil
}

// readRecords reads what kooperd has noted of its definitions.
func (c *planCommand) readRecords(ctx context.Context, core corev1client.ConfigMapsGetter) (map[string]compose.Record, error) {
	if !slices.ContainsFunc(c.cfg.Definitions, func(def config.Definition) bool { return def.Handler.Composes() }) {
		return nil, nil // kooperd does not look at it either.
	}
	name := access.RecordsOf(c.cfg.LeaderElection, c.lease.Namespace)
	records, found, err := compose.ReadRecords(ctx, core.ConfigMaps(name.Namespace), name.Name)
	switch {
	case apierrors.IsForbidden(err):
		rule := access.OfRecords(name)[0]
		rule.Rule.Verbs = []string{"get"}
		c.report.Failures = append(c.report.Failures, planFailure{Error: "what is gone from the files is not known: " + rule.Text()})
		return nil, nil
	case err != nil:
		return nil, err
	case !found:
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("there is no ConfigMap %s: kooperd has made nothing here yet, as far as is known", name))
	}
	return records, nil
}
