package kinds

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Resource is how an API server serves a kind. It is not to be changed.
type Resource struct {
	// Group is the API group, empty for the core group.
	Group string
	// Version is empty for a resource that is the same in all its versions.
	Version string
	// Name is the plural, as it stands in RBAC rules and paths.
	Name string
	// Kind is the kind of its objects.
	Kind string
	// Singular and ShortNames are other names for people. They are not for RBAC rules.
	Singular   string
	ShortNames []string
	// Namespaced is false for a kind whose objects belong to no namespace.
	Namespaced bool
	// Verbs are what can be done with the resource, as in RBAC rules.
	Verbs []string
	// Subresources has the verbs of each subresource by its name, such as status.
	Subresources map[string][]string
}

// Has reports whether the resource has a verb.
func (r Resource) Has(verb string) bool { return slices.Contains(r.Verbs, verb) }

// GroupResource names the resource.
func (r Resource) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: r.Group, Resource: r.Name}
}

// called reports whether people may call the resource by this name.
func (r Resource) called(name string) bool {
	return fold(r.Name) == fold(name) || fold(r.Singular) == fold(name) || fold(r.Kind) == fold(name) ||
		slices.Contains(r.ShortNames, name)
}

// Finder finds resources. Implementations are safe for concurrent use.
type Finder interface {
	// Kind returns the resource of a kind.
	Kind(ctx context.Context, kind schema.GroupVersionKind) (Resource, error)
	// Resource returns the resource of that plural name, as RBAC sees it: with what it has in any
	// version.
	Resource(ctx context.Context, resource schema.GroupResource) (Resource, error)
}

// Watchable returns the resource of a kind that is to be watched, in single namespaces or not. The
// error is a *NotWatchableError or a *ScopeError, or what the finder returns.
func Watchable(ctx context.Context, finder Finder, kind schema.GroupVersionKind, inNamespaces bool) (Resource, error) {
	resource, err := finder.Kind(ctx, kind)
	switch {
	case err != nil:
		return Resource{}, err
	case !resource.Has("list") || !resource.Has("watch"):
		return Resource{}, &NotWatchableError{Kind: kind, Listable: resource.Has("list")}
	case inNamespaces && !resource.Namespaced:
		return Resource{}, &ScopeError{Kind: kind}
	}
	return resource, nil
}

// inAllVersions returns a resource with the verbs and subresources that it has in any of its
// versions.
func inAllVersions(versions []Resource) Resource {
	all := versions[0]
	if len(versions) == 1 {
		return all
	}
	all.Version, all.Subresources = "", map[string][]string{}
	for _, r := range versions {
		all.Verbs = union(all.Verbs, r.Verbs)
		for name, verbs := range r.Subresources {
			all.Subresources[name] = union(all.Subresources[name], verbs)
		}
	}
	return all
}

func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}
