package access

import (
	"context"
	"errors"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
)

// Need is one rule that something needs, in one namespace or in the whole cluster.
type Need struct {
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
func OfConfig(ctx context.Context, cfg *config.Config, leaseNamespace string, kinds Kinds) ([]Need, error) {
	var needs []Need
	var errs []error
	lease := false
	for _, def := range cfg.Controllers {
		if def.Paused {
			continue
		}
		lease = lease || !def.EveryReplica
		watch, err := OfWatch(ctx, def, kinds)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", def.Name, err))
			continue
		}
		needs = append(needs, watch...)
		needs = append(needs, OfHandler(ctx, def, kinds)...)
	}
	if lease && !cfg.LeaderElection.Disabled {
		needs = append(needs, OfLease(cfg.LeaderElection, leaseNamespace)...)
	}
	return needs, errors.Join(errs...)
}

// OfWatch returns what the watch of a definition needs.
func OfWatch(ctx context.Context, def config.Controller, kinds Kinds) ([]Need, error) {
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
	var needs []Need
	for _, namespace := range namespacesOf(def) {
		needs = append(needs, Need{Definition: def.Name, Namespace: namespace, Rule: rule})
	}
	return needs, nil
}

// OfHandler returns what a definition's handler needs, as its plugin says: in the namespaces that the definition watches, and
// in the whole cluster for what has no namespace.
func OfHandler(ctx context.Context, def config.Controller, kinds Kinds) []Need {
	var needs []Need
	for _, rule := range def.Handler.Rules() {
		if len(rule.NonResourceURLs) > 0 {
			needs = append(needs, Need{Definition: def.Name, Rule: rbacv1.PolicyRule{NonResourceURLs: rule.NonResourceURLs, Verbs: rule.Verbs}})
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				one := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: rule.ResourceNames, Verbs: rule.Verbs}
				for _, namespace := range scopeOf(ctx, def, schema.GroupResource{Group: group, Resource: resource}, kinds) {
					needs = append(needs, Need{Definition: def.Name, Namespace: namespace, Rule: one})
				}
			}
		}
	}
	return needs
}

// scopeOf returns where a definition needs a right to a resource. One that nobody knows is taken for one with a namespace.
func scopeOf(ctx context.Context, def config.Controller, resource schema.GroupResource, kinds Kinds) []string {
	if namespaced, known := kinds.Scope(ctx, resource); known && !namespaced {
		return []string{""}
	}
	return namespacesOf(def)
}

func namespacesOf(def config.Controller) []string {
	if len(def.Watch.Namespaces) == 0 {
		return []string{""}
	}
	return def.Watch.Namespaces
}

// OfLease returns what the lease needs. namespace is where it is when the settings do not say.
func OfLease(lease config.LeaderElection, namespace string) []Need {
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
	return []Need{
		{Namespace: namespace, Rule: rule(name, "get", "update")},
		{Namespace: namespace, Rule: rule(nil, "create")}, // The name is not known to the authorizer when an object is made.
		{Namespace: namespace, Rule: rule(name, "watch"), Optional: true},
		{Namespace: namespace, Rule: events, Optional: true},
	}
}
