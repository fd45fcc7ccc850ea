package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// childVerbs are what is done with children: they are watched, applied, deleted, and read where
// that tells more than the watch. To apply an object that does not exist is to create it.
var childVerbs = []string{"get", "list", "watch", "create", "patch", "delete"}

// recordsSuffix follows the name of the lease in that of the ConfigMap with the records of what
// composers own.
const recordsSuffix = "-definitions"

// RecordsName is the name of the ConfigMap beside a lease in which is noted what composers own.
func RecordsName(leaseName string) string { return leaseName + recordsSuffix }

// ofRecords returns what that ConfigMap needs. namespace is as for OfLease.
func ofRecords(lease config.LeaderElection, namespace string) []Requirement {
	namespace, name := cmp.Or(lease.Namespace, namespace), RecordsName(lease.Name)
	rule := func(names []string, verbs ...string) Requirement {
		return Requirement{Namespace: namespace, Rule: rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: names, Verbs: verbs,
		}}
	}
	return []Requirement{rule([]string{name}, "get", "update"), rule(nil, "create")}
}

// ofComposer returns what the runtime needs for a definition whose plugin makes composers. With an
// error it returns what is known.
func ofComposer(ctx context.Context, def config.Definition, finder kinds.Finder) ([]Requirement, error) {
	c := composerNeeds{def: def}
	parent, err := finder.Kind(ctx, def.Watch.Kind)
	if err != nil {
		return nil, err
	}
	for _, owned := range def.Handler.Owns() {
		resource, err := kinds.Watchable(ctx, finder, owned.GroupVersionKind(), false)
		if err != nil {
			c.errs = append(c.errs, fmt.Errorf("a kind that the %s composer owns: %w", def.Handler.Plugin(), err))
			continue
		}
		c.own(owned, resource, parent)
	}
	for _, related := range def.Handler.Reads() {
		resource, err := kinds.Watchable(ctx, finder, related.GroupVersionKind(), false)
		if err != nil {
			c.errs = append(c.errs, fmt.Errorf("a kind that the %s composer reads: %w", def.Handler.Plugin(), err))
			continue
		}
		c.read(related, resource)
	}
	c.keep(parent)
	return c.needs, errors.Join(c.errs...)
}

// composerNeeds collects what one definition needs.
type composerNeeds struct {
	def       config.Definition
	needs     []Requirement
	errs      []error
	finalizes bool // parents get a finalizer
	blocks    bool // children block the deletion of their parents
}

// own adds what children of one kind need.
func (c *composerNeeds) own(owned handlers.OwnedKind, resource, parent kinds.Resource) {
	everywhere := !resource.Namespaced || owned.AnyNamespace
	rule := rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Resources: []string{resource.Name}, Verbs: childVerbs}
	c.add(everywhere, rule)
	c.blocks = c.blocks || owned.BlockOwnerDeletion
	c.finalizes = c.finalizes || parent.Namespaced && everywhere
	if resource.Group != rbacv1.GroupName {
		return
	}
	switch resource.Kind {
	case "Role", "ClusterRole":
		rule.ResourceNames, rule.Verbs = owned.RoleNames, []string{"escalate"}
		c.add(everywhere, rule)
	case "RoleBinding", "ClusterRoleBinding":
		c.bind(owned, everywhere)
	}
}

// bind adds the right to bind roles. Without any named, that is the right to bind all.
func (c *composerNeeds) bind(owned handlers.OwnedKind, everywhere bool) {
	rule := rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Verbs: []string{"bind"}}
	if len(owned.Binds) == 0 {
		rule.Resources = []string{"clusterroles", "roles"}
		c.add(everywhere, rule)
	}
	for _, ref := range owned.Binds {
		rule.Resources, rule.ResourceNames = []string{"roles"}, []string{ref.Name}
		if ref.Kind == "ClusterRole" {
			rule.Resources = []string{"clusterroles"}
		}
		c.add(everywhere, rule)
	}
}

// read adds what related objects need.
func (c *composerNeeds) read(related handlers.Related, resource kinds.Resource) {
	rule := rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Resources: []string{resource.Name}, Verbs: []string{"list", "watch"}}
	if related.ObjectName != "" {
		rule.ResourceNames = []string{related.ObjectName}
	}
	if related.Namespace != "" && resource.Namespaced {
		c.needs = append(c.needs, Requirement{Definition: c.def.Name, Namespace: related.Namespace, Rule: rule})
		return
	}
	c.add(!resource.Namespaced, rule)
}

// keep adds what is done with the parents: their status and finalizers are kept, and events are
// recorded about them.
func (c *composerNeeds) keep(parent kinds.Resource) {
	rule := func(resource, verb string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{parent.Group}, Resources: []string{resource}, Verbs: []string{verb}}
	}
	if verbs := parent.Subresources["status"]; !c.def.NoStatus && slices.Contains(verbs, "patch") && !scheme.Scheme.Recognizes(c.def.Watch.Kind) {
		c.add(false, rule(parent.Name+"/status", "patch"))
	}
	if c.finalizes || c.def.Handler.Finalizes() {
		c.add(false, rule(parent.Name, "patch"))
	}
	if c.blocks {
		c.add(false, rule(parent.Name+"/finalizers", "update"))
	}
	events := rbacv1.PolicyRule{APIGroups: []string{eventsv1.GroupName}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}}
	if parent.Namespaced {
		for _, need := range inNamespaces(c.def, events) {
			need.Optional = true
			c.needs = append(c.needs, need)
		}
		return
	}
	c.needs = append(c.needs, Requirement{Definition: c.def.Name, Namespace: "default", Rule: events, Optional: true})
}

// add adds a rule for the namespaces that the definition watches, or for the whole cluster.
func (c *composerNeeds) add(everywhere bool, rule rbacv1.PolicyRule) {
	if everywhere {
		c.needs = append(c.needs, Requirement{Definition: c.def.Name, Rule: rule})
		return
	}
	c.needs = append(c.needs, inNamespaces(c.def, rule)...)
}
