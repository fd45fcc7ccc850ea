package access

import (
	"context"
	_ "embed" // for builtin.txt
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Resource is how an API server serves a kind.
type Resource struct {
	// Name is the plural, as it stands in RBAC rules.
	Name string
	// Namespaced is false for a kind whose objects belong to no namespace.
	Namespaced bool
}

// Kinds knows resources. Implementations are safe for concurrent use.
type Kinds interface {
	// OfKind returns the resource of a kind, or an error that says what to do about it.
	OfKind(ctx context.Context, kind schema.GroupVersionKind) (Resource, error)
	// Scope tells whether objects of a resource, or of the one that it is a subresource of, have a namespace, or gives an error
	// as OfKind does.
	Scope(ctx context.Context, resource schema.GroupResource) (namespaced bool, err error)
}

// builtin.txt has a line for each kind of Kubernetes: group ("-" for the core group), kind, resource, and whether it has a
// namespace. All versions of a kind have one resource. A test compares it with what the development cluster serves.
//
//go:embed builtin.txt
var builtin string

// Table is Kinds from lists, without an API server.
type Table struct {
	kinds  map[schema.GroupKind]Resource
	scopes map[schema.GroupResource]bool
}

// BuiltIn returns the kinds that Kubernetes has by itself.
func BuiltIn() *Table {
	t := &Table{kinds: map[schema.GroupKind]Resource{}, scopes: map[schema.GroupResource]bool{}}
	for line := range strings.Lines(builtin) {
		column := strings.Fields(line)
		t.add(schema.GroupKind{Group: strings.Trim(column[0], "-"), Kind: column[1]},
			Resource{Name: column[2], Namespaced: column[3] == "namespaced"})
	}
	return t
}

func (t *Table) add(kind schema.GroupKind, resource Resource) {
	t.kinds[kind] = resource
	t.scopes[schema.GroupResource{Group: kind.Group, Resource: resource.Name}] = resource.Namespaced
}

// UnknownKindError means that a table does not have a kind.
type UnknownKindError struct {
	// Kind is the kind that is not there.
	Kind schema.GroupVersionKind
}

// Error asks for what is missing.
func (e *UnknownKindError) Error() string {
	return fmt.Sprintf("which resource is kind %s of %s? Give its CustomResourceDefinition with --crds, or ask the cluster with --live",
		e.Kind.Kind, e.Kind.GroupVersion())
}

// OfKind implements Kinds; the error is *UnknownKindError.
func (t *Table) OfKind(_ context.Context, kind schema.GroupVersionKind) (Resource, error) {
	if resource, ok := t.kinds[kind.GroupKind()]; ok {
		return resource, nil
	}
	return Resource{}, &UnknownKindError{Kind: kind}
}

// UnknownResourceError means that a table does not have a resource.
type UnknownResourceError struct {
	// Resource is the resource that is not there.
	Resource schema.GroupResource
}

// Error asks for what is missing.
func (e *UnknownResourceError) Error() string {
	return fmt.Sprintf("does resource %s have a namespace? Give its CustomResourceDefinition with --crds, or ask the cluster with --live", e.Resource)
}

// Scope implements Kinds; the error is *UnknownResourceError.
func (t *Table) Scope(_ context.Context, resource schema.GroupResource) (namespaced bool, err error) {
	resource.Resource, _ = splitResource(resource.Resource)
	namespaced, ok := t.scopes[resource]
	if !ok {
		return false, &UnknownResourceError{Resource: resource}
	}
	return namespaced, nil
}

// Live is Kinds as an API server serves them.
type Live struct {
	// Mapper asks the API server. Required.
	Mapper meta.RESTMapperWithContext
}

// NotServedError means that the API server does not serve a kind or a resource.
type NotServedError struct {
	// What is what is not there.
	What string
}

// Error says what is missing.
func (e *NotServedError) Error() string { return "the API server does not serve " + e.What }

// OfKind implements Kinds; the error is *NotServedError when the API server has answered.
func (l Live) OfKind(ctx context.Context, kind schema.GroupVersionKind) (Resource, error) {
	what := fmt.Sprintf("kind %s of %s", kind.Kind, kind.GroupVersion())
	mapping, err := l.Mapper.RESTMappingWithContext(ctx, kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return Resource{}, &NotServedError{What: what}
	}
	if err != nil {
		return Resource{}, fmt.Errorf("asking the API server for %s: %w", what, err)
	}
	return Resource{Name: mapping.Resource.Resource, Namespaced: mapping.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

// Scope implements Kinds. What Kubernetes has by itself is known without asking.
func (l Live) Scope(ctx context.Context, resource schema.GroupResource) (namespaced bool, err error) {
	if namespaced, err = BuiltIn().Scope(ctx, resource); err == nil {
		return namespaced, nil
	}
	resource.Resource, _ = splitResource(resource.Resource)
	kind, err := l.Mapper.KindForWithContext(ctx, resource.WithVersion(""))
	if meta.IsNoMatchError(err) {
		return false, &NotServedError{What: "resource " + resource.String()}
	}
	if err != nil {
		return false, fmt.Errorf("asking the API server for resource %s: %w", resource, err)
	}
	found, err := l.OfKind(ctx, kind)
	return found.Namespaced, err
}

// ScopeError means that a definition names namespaces for a kind that has none.
type ScopeError struct {
	// Kind is the kind.
	Kind schema.GroupVersionKind
}

// Error says what to change.
func (e *ScopeError) Error() string {
	return fmt.Sprintf("kind %s is cluster-scoped: remove watch.namespaces", e.Kind.Kind)
}

// IsAnswer tells whether err is an answer, to a question about a kind or a resource, and not a failure to ask. Of several errors
// that were joined, all have to be.
func IsAnswer(err error) bool {
	if several, ok := errors.AsType[joined](err); ok {
		return !slices.ContainsFunc(several.Unwrap(), func(e error) bool { return !IsAnswer(e) })
	}
	_, unknown := errors.AsType[*UnknownKindError](err)
	_, unheard := errors.AsType[*UnknownResourceError](err)
	_, notServed := errors.AsType[*NotServedError](err)
	_, scope := errors.AsType[*ScopeError](err)
	return unknown || unheard || notServed || scope
}

// joined is what errors.Join makes.
type joined interface {
	error
	Unwrap() []error
}
