package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// tryChoice is an object with the definition that it is tried by.
type tryChoice struct {
	object     *unstructured.Unstructured
	definition config.Definition
}

// composers returns the definitions that can be tried: the one that was named, or all.
func (r *tryRun) composers() ([]config.Definition, error) {
	var all []config.Definition
	var names []string
	for _, def := range r.cfg.Definitions {
		names = append(names, def.Name)
		switch {
		case r.flags.definition != "" && def.Name != r.flags.definition:
		case def.Handler.Composes():
			all = append(all, def)
		case r.flags.definition != "":
			return nil, fmt.Errorf("definition %s cannot be tried: its plugin %s is no function that says what should exist, as apply is",
				def.Name, def.Handler.Plugin())
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case len(names) == 0:
		return nil, errors.New("the config has no definitions")
	case r.flags.definition != "":
		return nil, fmt.Errorf("there is no definition %q; there are: %s", r.flags.definition, strings.Join(names, ", "))
	default:
		return nil, fmt.Errorf("none of the definitions can be tried (%s): their plugins are no functions that say what should exist, as apply is",
			strings.Join(names, ", "))
	}
}

// choose finds the definition of each object. Objects of other kinds are left out, and named.
func (r *tryRun) choose(objects []*unstructured.Unstructured) (chosen []tryChoice, skipped []string, err error) {
	definitions, err := r.composers()
	if err != nil {
		return nil, nil, err
	}
	for _, o := range objects {
		kind := o.GroupVersionKind()
		fits := slices.DeleteFunc(slices.Clone(definitions), func(def config.Definition) bool { return def.Watch.Kind != kind })
		switch {
		case len(fits) > 1:
			return nil, nil, fmt.Errorf("several definitions watch %s of %s: use --definition with one of: %s",
				kind.Kind, kind.GroupVersion(), namesOf(fits))
		case len(fits) == 1:
			definition, err := r.flags.external.allow(fits[0])
			if err != nil {
				return nil, nil, err
			}
			chosen = append(chosen, tryChoice{object: o, definition: definition})
		default:
			skipped = append(skipped, fmt.Sprintf("%s %s is left out: no definition that can be tried watches %s of %s",
				kind.Kind, o.GetName(), kind.Kind, kind.GroupVersion()))
		}
	}
	if len(chosen) == 0 {
		return nil, nil, noDefinitionFits(objects[0].GroupVersionKind(), objects[0].GetName(), definitions)
	}
	return chosen, skipped, nil
}

func noDefinitionFits(kind schema.GroupVersionKind, name string, definitions []config.Definition) error {
	return fmt.Errorf("no definition fits %s %s of %s; definitions watch: %s", kind.Kind, name, kind.GroupVersion(), watchedBy(definitions))
}

func namesOf(definitions []config.Definition) string {
	names := make([]string, len(definitions))
	for i, def := range definitions {
		names[i] = def.Name
	}
	return strings.Join(names, ", ")
}

// watchedBy says what definitions watch.
func watchedBy(definitions []config.Definition) string {
	texts := make([]string, len(definitions))
	for i, def := range definitions {
		texts[i] = fmt.Sprintf("%s of %s (%s)", def.Watch.Kind.Kind, def.Watch.Kind.GroupVersion(), def.Name)
	}
	return strings.Join(texts, ", ")
}

// installation is the mark of the installation: by the lease, or where the config does not say
// which namespace that is in, as the children have it.
func (r *tryRun) installation(def config.Definition, children []*unstructured.Unstructured) string {
	lease := r.cfg.LeaderElection
	namespace := cmp.Or(lease.Namespace, r.flags.namespace)
	if namespace == "" {
		for _, o := range children {
			set := o.GetLabels()
			if mark := set[compose.InstallationLabel]; mark != "" && slices.Contains(def.IDs(), set[compose.DefinitionLabel]) {
				return mark
			}
		}
	}
	return compose.Installation(cmp.Or(namespace, "default"), lease.Name)
}

// logger is for what the runtime and the plugin log.
func (r *tryRun) logger(def config.Definition) logr.Logger {
	logger, err := telemetry.NewLogger(r.stderr, telemetry.FormatText, 0)
	if err != nil {
		return logr.Discard()
	}
	return logger.WithValues("controller", def.Name)
}

// offlineKinds returns what is known of the kinds that a definition names. Those that are not
// known are guessed, and notes say so.
func (r *tryRun) offlineKinds(c tryChoice) (finder *kinds.Table, notes []string, err error) {
	finder = kinds.BuiltIn().With(r.custom.Resources()...)
	named := []schema.GroupVersionKind{c.definition.Watch.Kind}
	for _, owned := range c.definition.Handler.Owns() {
		named = append(named, owned.GroupVersionKind())
	}
	for _, related := range c.definition.Handler.Reads() {
		named = append(named, related.GroupVersionKind())
	}
	for _, patched := range c.definition.Handler.Patches() {
		named = append(named, patched.GroupVersionKind())
	}
	for _, kind := range named {
		_, err := finder.Lookup(kind)
		var unknown *kinds.UnknownError
		switch {
		case errors.As(err, &unknown):
			finder = finder.With(guessed(kind))
			notes = append(notes, fmt.Sprintf("whether objects of kind %s have a namespace is not known and taken as so (--crds says it)", kind.Kind))
		case err != nil:
			return nil, nil, fmt.Errorf("definition %s: %w", c.definition.Name, err)
		}
	}
	return finder, notes, nil
}

// guessed is a custom kind as most of them are.
func guessed(kind schema.GroupVersionKind) kinds.Resource {
	plural, singular := meta.UnsafeGuessKindToResource(kind)
	usual := []string{"get", "patch", "update"}
	return kinds.Resource{
		Group: kind.Group, Version: kind.Version, Kind: kind.Kind, Name: plural.Resource, Singular: singular.Resource, Namespaced: true,
		Verbs:        []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
		Subresources: map[string][]string{"status": usual},
	}
}

// placeObject puts an object into the namespace default where it names none and needs one, and
// takes it out where it needs none, as kubectl does.
func placeObject(o *unstructured.Unstructured, finder *kinds.Table) {
	resource, err := finder.Lookup(o.GroupVersionKind())
	switch {
	case err != nil:
	case resource.Namespaced && o.GetNamespace() == "":
		o.SetNamespace("default")
	case !resource.Namespaced:
		o.SetNamespace("")
	}
}

// placedObjects is placeObject for copies of objects.
func placedObjects(objects []*unstructured.Unstructured, finder *kinds.Table) []*unstructured.Unstructured {
	copies := make([]*unstructured.Unstructured, len(objects))
	for i, o := range objects {
		copies[i] = o.DeepCopy()
		placeObject(copies[i], finder)
	}
	return copies
}

// locate returns the place in the files that an error is about; empty if that is not known.
func (r *tryRun) locate(def config.Definition, err error) string {
	var at *handlers.ConfigError
	if !errors.As(err, &at) {
		return ""
	}
	ctx := context.Background() //nolint:forbidigo // it is bounded by itself
	files, err := config.Read(ctx, r.paths)
	if err != nil {
		return ""
	}
	position, ok := config.Locate(ctx, files, config.Options{Registry: r.registry}, def.Name, def.Handler.Plugin(), at.Path)
	if !ok {
		return ""
	}
	return position.String()
}
