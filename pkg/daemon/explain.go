package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/statusz"
)

// explainFlags are the settings of the command explain.
type explainFlags struct {
	format  string
	replica replicaFlags
}

const explainLong = `explain says why an object was handled, or is not: which definitions watch it, whether it matches what they want, what it waits
for, what keeps it from being ready, whose child it is, and the last calls of the handler for it: why each was made, what had
changed, what it wrote, how long it took, and how it ended.

KIND is a kind, a plural, a singular or a short name, as for kubectl, with .GROUP after it where that is needed.

` + replicaLong + `

With --address the names are those of Kubernetes' own kinds, and for custom kinds the kind, its lower case, and its plural.

Exit status: 0 it was explained, 1 no definition watches the object, or there is no answer, 2 bad usage.`

func newExplainCommand() *cobra.Command {
	var flags explainFlags
	cmd := &cobra.Command{
		Use:   "explain KIND/NAMESPACE/NAME",
		Short: "Say why an object was handled, or is not",
		Long:  explainLong,
		Example: "  kooperd explain website/team-a/shop\n" +
			"  kooperd explain node/worker-1 --namespace kooper-system -o json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			object, err := parseTreeParent(args[0])
			if err != nil {
				return err
			}
			if err := checkFormat(flags.format, formatText, formatJSON); err != nil {
				return err
			}
			if err := flags.replica.check(cmd.Flags()); err != nil {
				return err
			}
			return runExplain(cmd, object, flags)
		},
	}
	cmd.Flags().StringVarP(&flags.format, "format", "o", formatText, "text or json")
	flags.replica.add(cmd.Flags())
	return cmd
}

// explainRun is one run of the command.
type explainRun struct {
	object treeParent
	finder *replicaFinder
	stdout io.Writer
	stderr io.Writer

	ref statusz.ObjectRef
	// versions are the API versions in which the kind is asked for.
	versions []string
	whole    *statusz.Report // without lists of objects
	report   *statusz.ObjectReport
	raw      []byte
	notes    []string
}

func runExplain(cmd *cobra.Command, object treeParent, flags explainFlags) error {
	r := &explainRun{object: object, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
	var err error
	if r.finder, err = newReplicaFinder(flags.replica, r.note); err != nil {
		return err
	}
	if err := silence(); err != nil {
		return &runError{err}
	}
	if err := r.finder.within(cmd.Context(), r.stderr, r.ask); err != nil {
		return &runError{errors.New(plain(err.Error()))}
	}
	for _, text := range r.notes {
		r.note(text)
	}
	if flags.format == formatJSON {
		return writeRawJSON(r.stdout, r.raw, true)
	}
	s := &sheet{terminal: newTerminal(r.stdout)}
	writeExplanation(s, r.report, r.whole)
	return s.write(r.stdout)
}

// note says something that is not the answer.
func (r *explainRun) note(text string) { _, _ = fmt.Fprintf(r.stderr, "kooperd: %s\n", plain(text)) }

// ask finds out which object is meant, and asks the replica for it.
func (r *explainRun) ask(ctx context.Context) error {
	asked, err := r.finder.open(ctx)
	if err != nil {
		return err
	}
	defer asked.close()
	if r.whole, _, err = asked.report(ctx, 0); err != nil {
		return err
	}
	if text := asked.differs(r.whole); text != "" {
		r.notes = append(r.notes, text)
	}
	if err := r.resolve(ctx); err != nil {
		return err
	}
	return r.askVersions(ctx, asked)
}

// askVersions asks for the object in each version of its kind, as definitions may watch different
// ones, and makes one report of the answers.
func (r *explainRun) askVersions(ctx context.Context, asked *replica) error {
	for _, version := range r.versions {
		ref := r.ref
		ref.APIVersion = version
		report, raw, err := asked.object(ctx, ref)
		switch {
		case errors.Is(err, errNotKnown):
		case err != nil:
			return err
		case len(report.Definitions)+len(report.ChildOf) == 0:
		case r.report == nil:
			r.report, r.raw = report, raw
		default:
			if err := r.merge(report); err != nil {
				return err
			}
		}
	}
	if r.report == nil {
		return r.notWatched()
	}
	return nil
}

// merge adds to the report what is known of the object in another version.
func (r *explainRun) merge(other *statusz.ObjectReport) (err error) {
	for i := range other.Definitions {
		name := other.Definitions[i].Definition
		if !slices.ContainsFunc(r.report.Definitions, func(in statusz.ObjectIn) bool { return in.Definition == name }) {
			r.report.Definitions = append(r.report.Definitions, other.Definitions[i])
		}
	}
	slices.SortFunc(r.report.Definitions, func(a, b statusz.ObjectIn) int { return strings.Compare(a.Definition, b.Definition) })
	for _, row := range other.ChildOf {
		if !slices.ContainsFunc(r.report.ChildOf, func(in statusz.ObjectRow) bool { return in.Definition == row.Definition && in.Object == row.Object }) {
			r.report.ChildOf = append(r.report.ChildOf, row)
		}
	}
	r.raw, err = json.Marshal(r.report)
	return err
}

// notWatched says that nothing concerns itself with the object, and what is watched, or why what
// would is not at work.
func (r *explainRun) notWatched() error {
	text := fmt.Sprintf("no definition watches %s, and it is nobody's child", refText(r.ref))
	if idle := r.idle(); len(idle) > 0 {
		return errors.New(text + "; of its kind there are: " + strings.Join(idle, ", "))
	}
	if watched := watchedKinds(r.whole); len(watched) > 0 {
		text += "; watched are: " + strings.Join(watched, ", ")
	}
	return errors.New(text)
}

// idle are the definitions of the object's kind with their states.
func (r *explainRun) idle() (names []string) {
	for i := range r.whole.Definitions {
		d := &r.whole.Definitions[i]
		if d.Kind == r.ref.Kind && slices.Contains(r.versions, d.APIVersion) {
			names = append(names, strings.TrimSuffix(fmt.Sprintf("%s, which is %s: %s", d.Name, d.State, d.Reason), ": "))
		}
	}
	return names
}

// watchedKinds are the kinds that definitions handle, as kubectl takes them.
func watchedKinds(report *statusz.Report) []string {
	var names []string
	for i := range report.Definitions {
		if d := &report.Definitions[i]; d.Kind != "" {
			names = append(names, kindText(d.APIVersion, d.Kind))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// resolve finds the kind that is meant.
func (r *explainRun) resolve(ctx context.Context) error {
	r.ref = statusz.ObjectRef{Namespace: r.object.namespace, Name: r.object.name}
	if r.finder.flags.address != "" {
		return r.resolveOffline()
	}
	cluster, err := connect(r.finder.where)
	if err != nil {
		return err
	}
	defer cluster.Close()
	resources, failed, err := cluster.Kinds().All(ctx)
	if err != nil {
		return err
	}
	resource, err := kinds.Named(resources, r.object.kind)
	if err != nil {
		return errors.Join(append([]error{err}, failed...)...)
	}
	if err := r.object.check(resource); err != nil {
		return err
	}
	r.found(resource)
	return nil
}

// found sets the kind that is meant. Definitions may watch other versions of it than the one that
// the API server prefers.
func (r *explainRun) found(resource kinds.Resource) {
	r.ref.Kind, r.versions = resource.Kind, nil
	for _, gvk := range reportKinds(r.whole) {
		version := gvk.GroupVersion().String()
		if gvk.Group == resource.Group && gvk.Kind == resource.Kind && !slices.Contains(r.versions, version) {
			r.versions = append(r.versions, version)
		}
	}
	if len(r.versions) == 0 {
		r.versions = []string{schema.GroupVersion{Group: resource.Group, Version: resource.Version}.String()}
	}
}

// resolveOffline finds the kind among those that the replica reads.
func (r *explainRun) resolveOffline() error {
	var resources []kinds.Resource
	builtin := map[string]bool{}
	for _, gvk := range reportKinds(r.whole) {
		resource, err := kinds.BuiltIn().Lookup(gvk)
		if err != nil { // A custom kind, of which the usual names are a good guess.
			plural, singular := meta.UnsafeGuessKindToResource(gvk)
			resource = kinds.Resource{Group: gvk.Group, Kind: gvk.Kind, Name: plural.Resource, Singular: singular.Resource}
		}
		builtin[gvk.String()] = err == nil
		resource.Version = gvk.Version
		resources = append(resources, resource)
	}
	resource, err := kinds.Named(resources, r.object.kind)
	if err != nil {
		r.ref.Kind = r.object.kind
		return r.notWatched()
	}
	gvk := schema.GroupVersionKind{Group: resource.Group, Version: resource.Version, Kind: resource.Kind}
	if builtin[gvk.String()] {
		if err := r.object.check(resource); err != nil {
			return err
		}
	}
	r.found(resource)
	return nil
}

// reportKinds are the kinds that a replica reads, those that definitions handle first.
func reportKinds(report *statusz.Report) (found []schema.GroupVersionKind) {
	for i := range report.Definitions {
		if d := &report.Definitions[i]; d.Kind != "" {
			found = append(found, schema.FromAPIVersionAndKind(d.APIVersion, d.Kind))
		}
	}
	for i := range report.Sources {
		s := &report.Sources[i]
		found = append(found, schema.FromAPIVersionAndKind(s.APIVersion, s.Kind))
	}
	return found
}
