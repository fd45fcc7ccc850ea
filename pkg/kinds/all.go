package kinds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// requestsAtOnce bounds the requests of All.
const requestsAtOnce = 8

// All returns every resource that the API server serves, once each, in the version that its group
// prefers of those that have it: those of Kubernetes' core group first, and then group by group as
// the API server orders them. Groups that are out of service are left out and named by failed. The
// error is a *DiscoveryError, or the cause of the end of ctx.
func (d *Discovery) All(ctx context.Context) (found []Resource, failed []error, err error) {
	versions, err := d.allVersions(ctx)
	if err != nil {
		return nil, nil, err
	}
	lists, failures := make([][]Resource, len(versions)), make([]error, len(versions))
	group, limited := errgroup.WithContext(ctx)
	group.SetLimit(requestsAtOnce)
	for i, gv := range versions {
		group.Go(func() error {
			list, err := d.version(limited, gv)
			switch {
			case IsOutOfService(err):
				failures[i] = err
			case err != nil && !apierrors.IsNotFound(err):
				return err
			}
			lists[i] = resourcesOf(list)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	seen := map[schema.GroupResource]bool{}
	for _, list := range lists {
		for _, r := range list {
			if !seen[r.GroupResource()] {
				seen[r.GroupResource()] = true
				found = append(found, r)
			}
		}
	}
	return found, slices.DeleteFunc(failures, func(err error) bool { return err == nil }), nil
}

// allVersions returns the versions of all groups, those that are preferred first.
func (d *Discovery) allVersions(ctx context.Context) ([]schema.GroupVersion, error) {
	const question = "groups"
	a, err := d.ask(ctx, question, groupAge, func(ctx context.Context) *answer {
		document := new(metav1.APIGroupList)
		err := d.client.RESTClient().Get().AbsPath("/apis").Do(ctx).Into(document)
		return &answer{groups: document, err: err}
	})
	switch {
	case err != nil:
		return nil, err
	case a.err != nil:
		return nil, &DiscoveryError{Of: "all groups", Err: a.err}
	}
	all := []schema.GroupVersion{{Version: "v1"}}
	for _, group := range a.groups.Groups {
		all = append(all, inPreference(group)...)
	}
	return all, nil
}

// inPreference returns the versions of a group, the preferred one first.
func inPreference(group metav1.APIGroup) []schema.GroupVersion {
	versions := []schema.GroupVersion{{Group: group.Name, Version: group.PreferredVersion.Version}}
	for _, v := range group.Versions {
		if v.Version != group.PreferredVersion.Version {
			versions = append(versions, schema.GroupVersion{Group: group.Name, Version: v.Version})
		}
	}
	return versions
}

// ErrNoResource means that no resource is called as somebody has written it.
var ErrNoResource = errors.New("the API server serves no such kind")

// Named returns the resource that a person means, as kubectl does: by kind, plural, singular or
// short name, in any case, with .GROUP after it where it is to be of that group. The first one of
// the resources counts, but a short name only if nothing is called so. The error is ErrNoResource.
func Named(resources []Resource, text string) (Resource, error) {
	name, group, hasGroup := strings.Cut(text, ".")
	for _, called := range []func(Resource) bool{
		func(r Resource) bool {
			return fold(r.Name) == fold(name) || fold(r.Singular) == fold(name) || fold(r.Kind) == fold(name)
		},
		func(r Resource) bool { return r.called(fold(name)) },
	} {
		for _, r := range resources {
			if called(r) && (!hasGroup || fold(group) == fold(r.Group)) {
				return r, nil
			}
		}
	}
	return Resource{}, fmt.Errorf("%w: %q%s", ErrNoResource, text, namedHint(resources, name, hasGroup))
}

// namedHint says in which groups there is what is not in the group that was named.
func namedHint(resources []Resource, name string, hasGroup bool) string {
	if !hasGroup {
		return ""
	}
	for _, r := range resources {
		if r.called(name) || r.called(fold(name)) {
			return fmt.Sprintf("; did you mean %q?", strings.TrimSuffix(r.Name+"."+r.Group, "."))
		}
	}
	return ""
}

// List is a Finder of given resources, each of which has a version: those of Discovery.All, for
// example. It does not change, so it is safe for concurrent use.
type List struct{ resources []Resource }

// NewList returns a Finder of these resources.
func NewList(resources []Resource) List { return List{resources: resources} }

// Kind implements Finder. The error is a *NotServedError.
func (l List) Kind(_ context.Context, kind schema.GroupVersionKind) (Resource, error) {
	for _, r := range l.resources {
		if r.Group == kind.Group && r.Version == kind.Version && r.Kind == kind.Kind {
			return r, nil
		}
	}
	return Resource{}, &NotServedError{What: describeKind(kind)}
}

// Resource implements Finder, with errors as those of Kind.
func (l List) Resource(_ context.Context, resource schema.GroupResource) (Resource, error) {
	for _, r := range l.resources {
		if r.GroupResource() == resource {
			return r, nil
		}
	}
	return Resource{}, &NotServedError{What: describeResource(resource)}
}
