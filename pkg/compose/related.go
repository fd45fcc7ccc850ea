package compose

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// asked is what a Relater has asked for in a pass.
type asked struct {
	version string // resourceVersion of the parent
	related []handlers.Related
}

// relate returns the related objects of the parent by name. A Relater is given what it has asked
// for and nothing else: what its plugin reads may be a whole kind.
func (p *pass) relate(ctx context.Context) (map[string][]handlers.Object, error) {
	p.lagging = ""
	found := make(map[string][]handlers.Object, len(p.Related))
	relater, ok := p.Composer.(handlers.Relater)
	if !ok {
		for _, source := range p.Related {
			found[source.Name] = listRelated(p, source, source.Related)
		}
		return found, nil
	}
	if err := ask(ctx, p, relater); err != nil {
		return nil, &composeError{err: err}
	}
	for _, related := range p.asked.related {
		objects, err := listAsked(p, related)
		if err != nil {
			return nil, &composeError{err: err}
		}
		found[related.Name] = objects
	}
	return found, nil
}

// ask asks what the composer reads for the parent as it is, once.
func ask(ctx context.Context, p *pass, relater handlers.Relater) error {
	version := p.object.ResourceVersion()
	if p.asked != nil && p.asked.version == version {
		return nil
	}
	noteAsking(ctx)
	all, err := relater.Relate(p.secrets.inContext(ctx), p.object)
	if err != nil {
		return fmt.Errorf("finding related objects: %w", err)
	}
	names := map[string]bool{}
	for _, related := range all {
		if err := related.Validate(); err != nil {
			return fmt.Errorf("finding related objects: %w", err)
		}
		if names[related.Name] {
			return fmt.Errorf("finding related objects: there are two named %q", related.Name) //nolint:err113 // a mistake
		}
		names[related.Name] = true
	}
	p.asked = &asked{version: version, related: all}
	p.Memory.setRelated(p.parent.UID, p.parent.Namespace, all) // Before the caches are read, or a change in between calls no parent.
	return nil
}

// listAsked returns what a Relater has asked for, as far as it lies within what the plugin reads.
func listAsked(p *pass, related handlers.Related) ([]handlers.Object, error) {
	var all []listed
	declared := false
	for _, source := range p.Related {
		if source.GroupVersionKind() == related.GroupVersionKind() {
			declared = true
			for _, o := range listRelated(p, source, related) {
				all = append(all, listed{Object: o, metadataOnly: source.MetadataOnly})
			}
		}
	}
	switch {
	case !declared:
		return nil, fmt.Errorf("related %s: the plugin does not say that it reads %s %s", related.Name, related.APIVersion, related.Kind)
	case related.NamespaceSelector != nil && p.AllNamespaces == nil:
		return nil, fmt.Errorf("related %s: the plugin reads nothing by a namespaceSelector", related.Name)
	}
	return bestOf(all), nil
}

// listed is an object as one of several caches of its kind has it.
type listed struct {
	handlers.Object
	metadataOnly bool
}

func (o listed) isBetter(other listed) bool {
	if o.metadataOnly != other.metadataOnly {
		return other.metadataOnly
	}
	order, err := resourceversion.CompareResourceVersion(o.ResourceVersion(), other.ResourceVersion())
	return err == nil && order > 0
}

// bestOf returns each object once, sorted: whole, where a cache has more than its metadata, and the
// newest of those. One that was deleted and made again may be in a cache that lags behind.
func bestOf(all []listed) []handlers.Object {
	best := make(map[kube.Key]listed, len(all))
	for _, o := range all {
		key := kube.Key{Namespace: o.Namespace(), Name: o.Name()}
		if known, ok := best[key]; !ok || o.isBetter(known) {
			best[key] = o
		}
	}
	objects := make([]handlers.Object, 0, len(best))
	for _, o := range best {
		objects = append(objects, o.Object)
	}
	sortObjects(objects)
	return objects
}

// listRelated returns the objects of a source that related selects for the parent, sorted. It notes
// a namespace that has objects and is not known: the two watches are independent, and a selector
// that cannot be judged must not read like one that does not select.
func listRelated(p *pass, source RelatedSource, related handlers.Related) []handlers.Object {
	asked, read := newMatcher(related, p.parent.Namespace), newMatcher(source.Related, p.parent.Namespace)
	objects, all := getNamed(source.Source, asked.namespace, asked.names)
	if !all {
		objects = source.Source.List(asked.namespace, asked.labels)
	}
	inSelected := inSelectedNamespace(p.Reconciler, func(namespace string) { p.lagging = namespace })
	objects = slices.DeleteFunc(objects, func(o handlers.Object) bool {
		return !asked.selects(o, inSelected) || !read.selects(o, inSelected)
	})
	sortObjects(objects)
	return objects
}

// lag is that a namespace is not known yet: what should exist is not either, so nothing is deleted
// or withdrawn. What a person has put into files lags behind nothing.
func (p *pass) lag() []handlers.Pending {
	if p.lagging == "" || p.trace != nil {
		return nil
	}
	return []handlers.Pending{{On: "Namespace " + p.lagging, Why: "it has not been seen yet"}}
}

// getNamed returns the objects of some names in a namespace, "" for a kind that has none or for
// any. It returns false where that may not be all.
func getNamed(source Source, namespace string, names []string) (objects []handlers.Object, all bool) {
	if len(names) == 0 {
		return nil, false
	}
	for _, name := range names {
		o, ok := source.Get(namespace, name)
		switch {
		case ok:
			objects = append(objects, o)
		case namespace == "":
			return nil, false
		}
	}
	return objects, true
}

// inSelectedNamespace returns a function that reports whether a namespace is selected by its
// labels. Each is looked at once. unknown is called with a namespace that the cache does not have.
func inSelectedNamespace(r *Reconciler, unknown func(namespace string)) func(selector labels.Selector, namespace string) bool {
	known := map[string]labels.Set{}
	return func(selector labels.Selector, namespace string) bool {
		if selector == nil {
			return true
		}
		if namespace == "" || r.AllNamespaces == nil {
			return false
		}
		set, ok := known[namespace]
		if !ok {
			o, there := r.AllNamespaces.Get("", namespace)
			if !there {
				unknown(namespace) // Its event is still to come, or it is gone.
				return false
			}
			set = o.Metadata().Labels
			known[namespace] = set
		}
		return selector.Matches(set)
	}
}

func sortObjects(objects []handlers.Object) {
	slices.SortFunc(objects, func(a, b handlers.Object) int {
		return compareTexts(a.Namespace(), b.Namespace(), a.Name(), b.Name(), string(a.UID()), string(b.UID()))
	})
}
