package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// Requirement is one rule that something needs, in one namespace or in the whole cluster.
type Requirement struct {
	// Definition is the one that needs it; empty for the lease, and for a ConfigMap.
	Definition string
	// ConfigMap is that of the config which needs it, or that in which is noted what composers own,
	// as NAMESPACE/NAME; empty for anything else.
	ConfigMap string
	// Namespace is where it is needed; empty is the whole cluster.
	Namespace string
	// Rule is what is needed. Every rule that this package makes has one API group.
	Rule rbacv1.PolicyRule
	// Optional says that everything works without it, only worse.
	Optional bool
}

// Text says that the right is missing and what would grant it.
func (n Requirement) Text() string {
	return (&kube.ForbiddenError{Namespace: n.Namespace, Rule: n.Rule}).Error()
}

// OfConfig returns what a config needs: all its definitions that are not paused, its source, and
// the lease if NeedsLease. leaseNamespace is where the lease is when the config does not say.
// With an error it returns what is known. The error joins one for each problem, with the name of
// its definition.
func OfConfig(
	ctx context.Context, cfg *config.Config, source ConfigSource, leaseNamespace string, finder kinds.Finder,
) ([]Requirement, error) {
	var needs []Requirement
	var errs []error
	for _, def := range cfg.Definitions {
		if def.Paused {
			continue
		}
		of, err := OfDefinition(ctx, def, finder)
		for _, problem := range Split(err) {
			errs = append(errs, fmt.Errorf("%s: %w", def.Name, problem))
		}
		needs = append(needs, of...)
	}
	if NeedsLease(cfg, source) {
		needs = append(needs, OfLease(cfg.LeaderElection, leaseNamespace)...)
	}
	if NeedsRecords(cfg) {
		needs = append(needs, OfRecords(RecordsOf(cfg.LeaderElection, leaseNamespace))...)
	}
	return append(needs, OfConfigSource(source)...), errors.Join(errs...)
}

// NeedsLease reports whether a replica competes for the lease at all: some definition runs under
// it, or its holder stores the accepted config.
func NeedsLease(cfg *config.Config, source ConfigSource) bool {
	return !cfg.LeaderElection.Disabled && (len(source.ConfigMaps) > 0 ||
		slices.ContainsFunc(cfg.Definitions, func(def config.Definition) bool { return !def.Paused && !def.EveryReplica }))
}

// OfDefinition returns what a definition needs: to list and watch what it watches, and what its
// handler needs. With an error, which joins those of OfWatch and OfHandler, it returns what is
// known.
func OfDefinition(ctx context.Context, def config.Definition, finder kinds.Finder) ([]Requirement, error) {
	watch, watchErr := OfWatch(ctx, def, finder)
	handler, handlerErr := OfHandler(ctx, def, finder)
	return append(watch, handler...), errors.Join(watchErr, handlerErr)
}

// OfWatch returns what the watch of a definition needs. The error is that of kinds.Watchable.
func OfWatch(ctx context.Context, def config.Definition, finder kinds.Finder) ([]Requirement, error) {
	resource, err := kinds.Watchable(ctx, finder, def.Watch.Kind, len(def.Watch.Namespaces) > 0)
	if err != nil {
		return nil, err
	}
	rule := rbacv1.PolicyRule{
		APIGroups: []string{def.Watch.Kind.Group}, Resources: []string{resource.Name}, Verbs: []string{"list", "watch"},
	}
	if name := kube.SelectedName(def.Watch.FieldSelector); name != "" {
		rule.ResourceNames = []string{name}
	}
	return inNamespaces(def, rule), nil
}

// OfHandler returns what a definition's handler needs, as its plugin says, and its finalizer: in
// the namespaces that the definition watches, and in the whole cluster for what has no namespace.
// With an error it returns what is known. The error joins one for each part of a rule that grants
// nothing, or of which that is not known.
func OfHandler(ctx context.Context, def config.Definition, finder kinds.Finder) ([]Requirement, error) {
	needs, err := ofFinalizer(ctx, def, finder)
	var errs []error
	if CannotAsk(err) != nil { // Anything else is said of the watch.
		errs = append(errs, err)
	}
	for _, rule := range def.Handler.Rules() {
		if len(rule.NonResourceURLs) > 0 {
			needs = append(needs, Requirement{
				Definition: def.Name, Rule: rbacv1.PolicyRule{NonResourceURLs: rule.NonResourceURLs, Verbs: rule.Verbs},
			})
		}
		resources, problems := kinds.Rule(ctx, finder, rule)
		for _, resource := range resources {
			needs = append(needs, ofResource(def, rule, resource)...)
		}
		for _, problem := range problems {
			if kinds.IsUnknown(problem) && len(def.Watch.Namespaces) == 0 {
				continue // It is needed in the whole cluster, whatever it is.
			}
			errs = append(errs, fmt.Errorf("a rule of the %s handler: %w", def.Handler.Plugin(), problem))
		}
	}
	if def.Handler.Composes() {
		composing, err := ofComposer(ctx, def, finder)
		needs, errs = append(needs, composing...), append(errs, err)
	}
	return needs, errors.Join(errs...)
}

// ofFinalizer returns what it takes to add the definition's finalizer, and to remove it. The error
// is that of OfWatch.
func ofFinalizer(ctx context.Context, def config.Definition, finder kinds.Finder) ([]Requirement, error) {
	if def.Finalizer == "" {
		return nil, nil
	}
	needs, err := OfWatch(ctx, def, finder)
	for i := range needs {
		needs[i].Rule.Verbs = []string{"patch"}
	}
	return needs, err
}

// ofResource returns what a rule needs of one of its resources.
func ofResource(def config.Definition, rule rbacv1.PolicyRule, resource kinds.RuleResource) []Requirement {
	one := rbacv1.PolicyRule{
		APIGroups: []string{resource.Group}, Resources: []string{resource.Name},
		ResourceNames: rule.ResourceNames, Verbs: rule.Verbs,
	}
	switch {
	case len(def.Watch.Namespaces) == 0, resource.Namespaced:
		return inNamespaces(def, one)
	case resource.Unknown:
		return nil
	default:
		return []Requirement{{Definition: def.Name, Rule: one}}
	}
}

// inNamespaces returns a rule for each namespace that a definition watches, or for the whole
// cluster.
func inNamespaces(def config.Definition, rule rbacv1.PolicyRule) []Requirement {
	if len(def.Watch.Namespaces) == 0 {
		return []Requirement{{Definition: def.Name, Rule: rule}}
	}
	var needs []Requirement
	for _, namespace := range def.Watch.Namespaces {
		needs = append(needs, Requirement{Definition: def.Name, Namespace: namespace, Rule: rule})
	}
	return needs
}

// OfLease returns what the lease needs. namespace is where it is when the settings do not say.
func OfLease(lease config.LeaderElection, namespace string) []Requirement {
	namespace = cmp.Or(lease.Namespace, namespace)
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
