package kinds

import (
	"context"
	_ "embed" // for builtin.txt
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// builtin.txt has a line for each resource of Kubernetes, as test/access writes it: group ("-" for
// the core group), kind, the plural, singular and short names, scope, verbs ("*" for the usual
// ones), and the verbs of each subresource. All versions of a resource are the same in this.
//
//go:embed builtin.txt
var builtin string

// usualVerbs are those of most resources.
var usualVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// Table is a Finder from lists, without an API server. It does not change, so it is safe for
// concurrent use.
type Table struct {
	resources map[schema.GroupResource][]Resource // one for each version that differs
}

// BuiltIn returns the table of what Kubernetes has by itself.
func BuiltIn() *Table { return parseBuiltIn() }

var parseBuiltIn = sync.OnceValue(func() *Table {
	t := &Table{resources: map[schema.GroupResource][]Resource{}}
	for line := range strings.Lines(builtin) {
		t.add(parseLine(strings.Fields(line)))
	}
	return t
})

func parseLine(columns []string) Resource {
	names := strings.Split(columns[2], ",")
	r := Resource{
		Group: strings.Trim(columns[0], "-"), Kind: columns[1],
		Name: names[0], Singular: names[1], ShortNames: names[2:],
		Namespaced: columns[3] == "namespaced", Verbs: parseVerbs(columns[4]), Subresources: map[string][]string{},
	}
	for _, column := range columns[5:] {
		name, verbs, _ := strings.Cut(column, "=")
		r.Subresources[name] = parseVerbs(verbs)
	}
	return r
}

func parseVerbs(text string) []string {
	if text == "*" {
		return usualVerbs
	}
	return strings.Split(text, ",")
}

// With returns a table that has more resources. One in a version that is known already takes its
// place.
func (t *Table) With(resources ...Resource) *Table {
	more := &Table{resources: maps.Clone(t.resources)}
	for _, r := range resources {
		more.add(r)
	}
	return more
}

func (t *Table) add(r Resource) {
	others := slices.DeleteFunc(slices.Clone(t.resources[r.GroupResource()]), func(other Resource) bool {
		return other.Version == r.Version
	})
	t.resources[r.GroupResource()] = append(others, r)
}

// Kind implements Finder. The error is a *NotServedError when no API server can serve the kind,
// else an *UnknownError.
func (t *Table) Kind(_ context.Context, kind schema.GroupVersionKind) (Resource, error) {
	return t.Lookup(kind)
}

// Lookup is Kind without a context, as nothing has to be waited for.
func (t *Table) Lookup(kind schema.GroupVersionKind) (Resource, error) {
	var versions []string
	for _, rs := range t.resources {
		for _, r := range rs {
			switch {
			case r.Group != kind.Group || r.Kind != kind.Kind:
			case r.Version == kind.Version:
				return r, nil
			case r.Version != "":
				versions = append(versions, r.Version)
			case knownVersion(kind.GroupVersion()) || !isClosed(kind.Group):
				return r, nil
			}
		}
	}
	switch {
	case len(versions) > 0:
		slices.Sort(versions)
		return Resource{}, &NotServedError{
			What: describeKind(kind), By: Definition, Hint: fmt.Sprintf("its versions are: %s", strings.Join(versions, ", ")),
		}
	case isClosed(kind.Group):
		return Resource{}, &NotServedError{What: describeKind(kind), By: Kubernetes, Hint: t.kindHint(kind)}
	}
	return Resource{}, &UnknownError{Question: "which resource is " + describeKind(kind)}
}

// Hint says what may be meant by a kind that Kubernetes does not have, in a group of its own; ""
// when nothing is like it.
func (t *Table) Hint(kind schema.GroupVersionKind) string {
	if !knownVersion(kind.GroupVersion()) {
		return ""
	}
	return t.kindHint(kind)
}

// kindHint says which version or which group has a kind, or what a similar name may mean.
func (t *Table) kindHint(kind schema.GroupVersionKind) string {
	var found []string
	for _, rs := range t.resources {
		for _, r := range rs {
			gv := preferredVersion(r.Group)
			switch {
			case r.Version != "" || gv.Version == "":
			case r.Kind == kind.Kind:
				found = append(found, fmt.Sprintf("did you mean apiVersion %q?", gv))
			case r.Group == kind.Group && r.called(kind.Kind):
				found = append(found, fmt.Sprintf("did you mean %q?", r.Kind))
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

// Resource implements Finder, with errors as those of Kind.
func (t *Table) Resource(_ context.Context, resource schema.GroupResource) (Resource, error) {
	if versions := t.resources[resource]; len(versions) > 0 {
		return inAllVersions(versions), nil
	}
	group := t.group(resource.Group)
	hint := resourceHint(resource, group)
	if isClosed(resource.Group) || len(group) > 0 && hint != "" {
		return Resource{}, &NotServedError{What: describeResource(resource), By: Kubernetes, Hint: hint}
	}
	return Resource{}, &UnknownError{Question: fmt.Sprintf("does %s have a namespace", describeResource(resource))}
}

// group returns the resources of a group.
func (t *Table) group(name string) []Resource {
	var found []Resource
	for _, rs := range t.resources {
		for _, r := range rs {
			if r.Group == name {
				found = append(found, r)
			}
		}
	}
	return found
}

// resourceHint says what a name that is no resource of its group may mean: another name of one of
// the group, or a resource of another group of Kubernetes.
func resourceHint(resource schema.GroupResource, group []Resource) string {
	for _, r := range group {
		if r.called(resource.Resource) {
			return fmt.Sprintf("did you mean %q?", r.Name)
		}
	}
	var groups []string
	for other := range BuiltIn().resources {
		if other.Resource == resource.Resource {
			groups = append(groups, other.Group)
		}
	}
	if len(groups) == 0 {
		return ""
	}
	return fmt.Sprintf("did you mean apiGroups: [%q]?", slices.Min(groups))
}

// isClosed reports whether all kinds that a group will ever have are in the table. That is so for
// the core group: new kinds of Kubernetes go to named groups, in which a cluster may be ahead of
// this table, and others can only add groups.
func isClosed(group string) bool { return group == "" }

// knownVersion reports whether client-go knows the version of a group, be it served by Kubernetes
// today or not.
func knownVersion(gv schema.GroupVersion) bool {
	return scheme.Scheme.IsVersionRegistered(gv)
}

// preferredVersion returns the version that Kubernetes prefers.
func preferredVersion(group string) schema.GroupVersion {
	if versions := scheme.Scheme.PrioritizedVersionsForGroup(group); len(versions) > 0 {
		return versions[0]
	}
	return schema.GroupVersion{Group: group}
}
