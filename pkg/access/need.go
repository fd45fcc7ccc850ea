package access

import (
	"context"
	"errors"
	"fmt"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
)

// Requirement is one rule that something needs, in one namespace or in the whole cluster.
type Requirement struct {
	// Definition is who needs it; empty for the lease.
	Definition string
	// Namespace is where; empty is the whole cluster.
	Namespace string
	// Rule is what. Every rule that this package makes has one API group.
	Rule rbacv1.PolicyRule
	// Optional says that everything works without it, only worse.
	Optional bool
}

// OfConfig returns what a config needs: all its definitions that are not paused, and the lease if one of them runs under it.
// leaseNamespace is where the lease is when the config does not say. The error joins one for each definition of which the rights
// cannot be told.
func OfConfig(ctx context.Context, cfg *config.Config, leaseNamespace string, kinds Kinds) ([]Requirement, error) {
	var needs []Requirement
	var errs []error
	for _, def := range cfg.Definitions {
		if def.Paused {
			continue
		}
		watch, err := OfWatch(ctx, def, kinds)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", def.Name, err))
			continue
		}
		handler, err := OfHandler(ctx, def, kinds)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", def.Name, err))
			continue
		}
		needs = append(append(needs, watch...), handler...)
	}
	if NeedsLease(cfg) {
		needs = append(needs, OfLease(cfg.LeaderElection, leaseNamespace)...)
	}
	return needs, errors.Join(errs...)
}

// NeedsLease tells whether a replica competes for the lease at all: some definition runs under it.
func NeedsLease(cfg *config.Config) bool {
	return !cfg.LeaderElection.Disabled &&
		slices.ContainsFunc(cfg.Definitions, func(def config.Definition) bool { return !def.Paused && !def.EveryReplica })
}

// OfWatch returns what the watch of a definition needs.
func OfWatch(ctx context.Context, def config.Definition, kinds Kinds) ([]Requirement, error) {
	resource, err := kinds.OfKind(ctx, def.Watch.Kind)
	if err != nil {
		return nil, err
	}
	if !resource.Namespaced && len(def.Watch.Namespaces) > 0 {
		return nil, &ScopeError{Kind: def.Watch.Kind}
	}
	rule := rbacv1.PolicyRule{APIGroups: []string{def.Watch.Kind.Group}, Resources: []string{resource.Name}, Verbs: []string{"list", "watch"}}
	if name := kube.SelectedName(def.Watch.FieldSelector); name != "" {
		rule.ResourceNames = []string{name}
	}
	var needs []Requirement
	for _, namespace := range namespacesOf(def) {
		needs = append(needs, Requirement{Definition: def.Name, Namespace: namespace, Rule: rule})
	}
	return needs, nil
}

// OfHandler returns what a definition's handler needs, as its plugin says: in the namespaces that the definition watches, and
// in the whole cluster for what has no namespace. The error joins one for each resource of which that is not known.
func OfHandler(ctx context.Context, def config.Definition, kinds Kinds) ([]Requirement, error) {
	var needs []Requirement
	var errs []error
	for _, rule := range def.Handler.Rules() {
		if len(rule.NonResourceURLs) > 0 {
			needs = append(needs, Requirement{Definition: def.Name, Rule: rbacv1.PolicyRule{NonResourceURLs: rule.NonResourceURLs, Verbs: rule.Verbs}})
		}
		for _, resource := range rule.Resources {
			found, err := ofResource(ctx, def, rule, resource, kinds)
			needs, errs = append(needs, found...), append(errs, err)
		}
	}
	return needs, errors.Join(errs...)
}

// ofResource returns what a rule needs of one resource. A rule with several groups names resources of each, and most of the pairs do
// not exist: an error is for a resource that none of the groups is known to have.
func ofResource(ctx context.Context, def config.Definition, rule rbacv1.PolicyRule, resource string, kinds Kinds) ([]Requirement, error) {
	var needs []Requirement
	var unknown []error
	for _, group := range rule.APIGroups {
		namespaces, err := scopeOf(ctx, def, schema.GroupResource{Group: group, Resource: resource}, kinds)
		if err != nil && !IsAnswer(err) {
			return nil, err
		}
		if err != nil {
			unknown = append(unknown, err)
		}
		one := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: rule.ResourceNames, Verbs: rule.Verbs}
		for _, namespace := range namespaces {
			needs = append(needs, Requirement{Definition: def.Name, Namespace: namespace, Rule: one})
		}
	}
	if len(needs) > 0 {
		return needs, nil
	}
	return nil, errors.Join(unknown...)
}

// scopeOf returns where a definition needs a right to a resource.
func scopeOf(ctx context.Context, def config.Definition, resource schema.GroupResource, kinds Kinds) ([]string, error) {
	if len(def.Watch.Namespaces) == 0 {
		return namespacesOf(def), nil // the whole cluster, whatever the resource
	}
	namespaced, err := kinds.Scope(ctx, resource)
	switch {
	case err != nil:
		return nil, err
	case !namespaced:
		return []string{""}, nil
	default:
		return namespacesOf(def), nil
	}
}

func namespacesOf(def config.Definition) []string {
	if len(def.Watch.Namespaces) == 0 {
		return []string{""}
	}
	return def.Watch.Namespaces
}

// OfLease returns what the lease needs. namespace is where it is when the settings do not say.
func OfLease(lease config.LeaderElection, namespace string) []Requirement {
	if lease.Namespace != "" {
		namespace = lease.Namespace
	}
	group, resource := coordinationv1.GroupName, "leases"
	if lease.Lock == config.ConfigMapLock {
		group, resource = "", "configmaps"
	}
	rule := func(names []string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names, Verbs: verbs}
	}
	name := []string{lease.Name}
	events := rbacv1.PolicyRule{APIGroups: []string{eventsv1.GroupName}, Resources: []string{"events"}, Verbs: []string{"create"}}
	return []Requirement{
		{Namespace: namespace, Rule: rule(name, "get", "update")},
		{Namespace: namespace, Rule: rule(nil, "create")}, // The name is not known to the authorizer when an object is made.
		{Namespace: namespace, Rule: rule(name, "watch"), Optional: true},
		{Namespace: namespace, Rule: events, Optional: true},
	}
}
