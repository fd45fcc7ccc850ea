package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// tryFlags are the settings of the command try.
type tryFlags struct {
	definition string
	object     string
	children   []string
	related    []string
	crds       crdFlags
	live       bool
	external   externalFlags
	format     string
	namespace  string
	tryView
	cluster clusterFlags
}

// tryView says what of the objects is shown.
type tryView struct {
	marks   bool
	secrets bool
}

const formatYAML = "yaml"

const tryLong = `try shows what a definition would make for an object: its children, what it would contribute to others, status, conditions and
events. It is for definitions whose plugin is a function, as apply is. It asks the same code as a running kooperd, round after
round until nothing changes any more, and changes nothing.

Without --live it contacts nothing. What exists already comes from files: --children has objects that were made for the
object, --related other objects that the definition reads. Both are files or folders, as kubectl get -o yaml writes them.
Children are matched by the marks of kooperd if they have them, and else by kind, namespace and name. What the API server
would fill in, such as defaults and addresses, is left out; children that wait for that are shown as waiting.

A program that says what should exist (exec with compose) is run only with --run-programs, and a service (webhook) is called
only with --hook. That they change nothing is their own promise.

With --live the children and related objects are read from the cluster, and everything that would be written is sent there as
a dry run. --object may be KIND/NAMESPACE/NAME then, for an object of the cluster. A file stands for what the object would be:
it has no defaults then, and its status is not sent. Where managedFields would be changed, as by an adoption or by ignore,
that is sent as a dry run, and what comes after it for that object is worked out here and not judged by the API server. try
acts as the user of the kubeconfig, who needs the rights that kooperd has for this definition (kooperd rbac); those that are
missing are named.

Of an object that the definition does not select any more, by its labels, fields or where, it shows which children would be
deleted.

Objects are shown without the marks of kooperd and without what identifies their state. Values of Secrets are never shown,
unless --show-secrets is given; nor are values that every run generates anew. Output is colored on a terminal, unless NO_COLOR
is set.

With -o json or yaml the answer is one document with the list tried. Each entry has definition, parent, children, patches,
status, conditions, events, rounds (how often the definition was asked) and settled (false if it would have to be asked more
often), and, where there is something to say, excluded, paused, error, at (the place in the files that it is about), failure
(why it would be tried again), pending, problems, statusPending, metadata (labels and annotations of the object that would
change), finalizers, requeueAfter and notes. A child has name, apiVersion, kind, namespace, objectName, action, reason, why,
ready, object and before. An action is create, change, unchanged, recreate, adopt, delete, withdraw, retain, wait or refuse.

Exit status: 0 it was tried, 1 the definition fails for an object, or something would be refused or fails, 2 bad usage or bad
config.`

func newTryCommand(registry *handlers.Registry) *cobra.Command {
	var flags tryFlags
	cmd := &cobra.Command{
		Use:   "try FILE...",
		Short: "Show what a definition would make for an object, without a cluster",
		Long:  tryLong,
		Example: "  kooperd try controllers.cue --object website.yaml\n" +
			"  kooperd try controllers.cue --object website.yaml --children made.yaml --related teams/\n" +
			"  kooperd try controllers.cue --object website/team-a/shop --live",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			return runTry(cmd, registry, args, flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.definition, "definition", "", "name of the definition; default: the one that watches the kind of the object")
	f.StringVar(&flags.object, "object", "", "file with the objects to try, - for standard input, or with --live KIND/NAMESPACE/NAME")
	f.StringArrayVar(&flags.children, "children", nil, "file or folder with objects that were made for the object; may be repeated")
	f.StringArrayVar(&flags.related, "related", nil, "file or folder with other objects that there are; may be repeated")
	flags.crds.add(f)
	f.BoolVar(&flags.live, "live", false, "read from the cluster, and try there by dry runs")
	flags.external.add(f)
	f.BoolVar(&flags.external.all, "run-hooks", false, "run all programs and call all hooks")
	if err := f.MarkHidden("run-hooks"); err != nil { // It is the older form of the two.
		panic(fmt.Sprintf("daemon: %v", err))
	}
	f.StringVarP(&flags.format, "format", "o", formatText, "text, json or yaml")
	f.StringVarP(&flags.namespace, "namespace", "n", "",
		`namespace of the lease when the config names none; default: "default", or with --live that of the kubeconfig's context`)
	f.BoolVar(&flags.marks, "show-marks", false, "show labels, annotations and owner references of kooperd, too")
	f.BoolVar(&flags.secrets, "show-secrets", false, "show the values of Secrets")
	flags.cluster.add(f, "for --live")
	return cmd
}

// check looks at the flags alone.
func (f *tryFlags) check(cmd *cobra.Command) error {
	if f.object == "" {
		return errors.New("no object: use --object FILE, or - for standard input")
	}
	if f.live && len(f.children)+len(f.related)+len(f.crds.paths) > 0 {
		return errors.New("--children, --related and --crds are for a trial without a cluster: with --live, it is asked for them")
	}
	if err := checkFormat(f.format, formatText, formatJSON, formatYAML); err != nil {
		return err
	}
	if err := f.external.parse(); err != nil {
		return err
	}
	return f.cluster.check(cmd.Flags(), f.live)
}

// tryRun is one run of the command.
type tryRun struct {
	flags    tryFlags
	cfg      *config.Config
	custom   kinds.CustomKinds
	registry *handlers.Registry
	paths    []string
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
}

func runTry(cmd *cobra.Command, registry *handlers.Registry, paths []string, flags tryFlags) error {
	r := &tryRun{flags: flags, registry: registry, paths: paths, stdin: cmd.InOrStdin(), stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
	var err error
	if r.custom, err = flags.crds.read(); err != nil {
		return err
	}
	if r.cfg, err = loadConfig(cmd.Context(), r.stderr, registry, paths, r.custom); err != nil {
		return err
	}
	if r.custom, err = declaredKinds(r.cfg, r.custom); err != nil {
		return err
	}
	if _, err := r.composers(); err != nil {
		return err
	}
	if err := r.flags.external.check(r.cfg.Definitions); err != nil {
		return err
	}
	report := tryReport{Tried: []tryResult{}}
	if flags.live {
		err = r.live(cmd.Context(), &report)
	} else {
		err = r.offline(cmd.Context(), &report)
	}
	if err != nil {
		return err
	}
	if err := r.print(report); err != nil {
		return err
	}
	if report.failed() {
		return &runError{errSilent}
	}
	return nil
}

// offline tries the objects of a file.
func (r *tryRun) offline(ctx context.Context, report *tryReport) error {
	objects, err := readObjects(r.flags.object, r.stdin)
	if err != nil {
		return err
	}
	chosen, skipped, err := r.choose(objects)
	if err != nil {
		return err
	}
	report.Notes = skipped
	children, err := readAllObjects(r.flags.children)
	if err != nil {
		return err
	}
	related, err := readAllObjects(r.flags.related)
	if err != nil {
		return err
	}
	for _, c := range chosen {
		finder, notes, err := r.offlineKinds(c)
		if err != nil {
			return err
		}
		placeObject(c.object, finder)
		trials := &engine.Trials{
			Definition: c.definition, Installation: r.installation(c.definition, children), Finder: finder, Logger: r.logger(c.definition),
		}
		tried, err := trials.Try(ctx, c.object.DeepCopy(), engine.Given{Children: placedObjects(children, finder), Related: placedObjects(related, finder)})
		err = errors.Join(err, trials.Close())
		if err != nil {
			return &runError{fmt.Errorf("trying %s: %w", c.object.GetName(), err)}
		}
		tried.Notes = append(notes, tried.Notes...)
		report.Tried = append(report.Tried, r.result(c, tried))
	}
	return nil
}
