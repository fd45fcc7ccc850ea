package access

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// watchVerbs are what it takes to watch.
var watchVerbs = []string{"list", "watch"}

// childVerbs are what is done with children besides watching them: they are applied, deleted, and
// read where that tells more than the watch. To apply an object that does not exist is to create
// it.
var childVerbs = []string{"get", "create", "patch", "delete"}

// patchedVerbs are what is done with objects to which parents contribute: they are read before the
// first time, and are never created.
var patchedVerbs = []string{"get", "list", "watch", "patch"}

// ofComposer returns what the runtime needs for a definition whose plugin makes composers. With an
// error it returns what is known. An error about the parents is that of OfWatch, and is left out.
func ofComposer(ctx context.Context, def config.Definition, finder kinds.Finder) ([]Requirement, error) {
	parent, parentErr := finder.Kind(ctx, def.Watch.Kind)
	c := composerNeeds{def: def, parent: parent, finalizes: finalizesParents(ctx, def, finder)}
	var owned, read, patched []func()
	for _, kind := range def.Handler.Owns() {
		if resource, ok := c.find(ctx, finder, "owns", kind.GroupVersionKind()); ok {
			owned = append(owned, func() { c.own(kind, resource) })
		}
	}
	for _, related := range def.Handler.Reads() {
		if resource, ok := c.find(ctx, finder, "reads", related.GroupVersionKind()); ok {
			read = append(read, func() { c.read(related, resource) })
		}
	}
	for _, kind := range def.Handler.Patches() {
		if resource, ok := c.find(ctx, finder, "patches", kind.GroupVersionKind()); ok {
			patched = append(patched, func() { c.patch(kind, resource) })
		}
	}
	if parentErr != nil {
		return nil, errors.Join(append(c.errs, CannotAsk(parentErr))...)
	}
	for _, add := range slices.Concat(owned, read, patched) {
		add()
	}
	c.readNamespaces()
	c.keep()
	return c.needs, errors.Join(c.errs...)
}

// finalizesParents reports whether the parents of a definition get a finalizer, as far as the kinds
// are known: the garbage collector does not delete their children, they contribute to other
// objects, or the composer asks for it.
func finalizesParents(ctx context.Context, def config.Definition, finder kinds.Finder) bool {
	parent, err := finder.Kind(ctx, def.Watch.Kind)
	return def.Handler.Finalizes() || def.Handler.Ordered() || len(def.Handler.Patches()) > 0 || err == nil && parent.Namespaced &&
		slices.ContainsFunc(def.Handler.Owns(), func(owned handlers.OwnedKind) bool {
			resource, err := finder.Kind(ctx, owned.GroupVersionKind())
			return err == nil && isEverywhere(owned, resource)
		})
}

// isEverywhere reports whether children are in the whole cluster, whatever the parents' namespaces.
func isEverywhere(owned handlers.OwnedKind, resource kinds.Resource) bool {
	return !resource.Namespaced || owned.AnyNamespace
}

// composerNeeds collects what one definition needs.
type composerNeeds struct {
	def       config.Definition
	parent    kinds.Resource
	needs     []Requirement
	errs      []error
	finalizes bool // parents get a finalizer
	blocks    bool // children block the deletion of their parents
	notes     bool // parents get an annotation about children that have finished
}

// find finds a kind that the composer owns or reads.
func (c *composerNeeds) find(
	ctx context.Context, finder kinds.Finder, what string, kind schema.GroupVersionKind,
) (resource kinds.Resource, ok bool) {
	resource, err := kinds.Watchable(ctx, finder, kind, false)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("a kind that the %s composer %s: %w", c.def.Handler.Plugin(), what, err))
	}
	return resource, err == nil
}

// outside reports whether the finalizers have to be removable without a Role in the namespace of
// the parents: a namespace that is deleted takes its Roles along, before the parents.
func (c *composerNeeds) outside() bool { return c.finalizes && len(c.def.Watch.Namespaces) > 0 }

// own adds what children of one kind need.
func (c *composerNeeds) own(owned handlers.OwnedKind, resource kinds.Resource) {
	everywhere := isEverywhere(owned, resource)
	rule := rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Resources: []string{resource.Name}, Verbs: watchVerbs}
	c.add(everywhere || c.outside(), rule)
	rule.Verbs = childVerbs
	c.add(everywhere, rule)
	if !c.parent.Namespaced || resource.Namespaced { // Other children have no owner reference to it.
		c.blocks = c.blocks || owned.BlockOwnerDeletion
	}
	kind := schema.GroupKind{Group: resource.Group, Kind: resource.Kind}
	c.notes = c.notes || handlers.Finishes(kind) && !owned.MetadataOnly
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
	rule := rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Resources: []string{resource.Name}, Verbs: watchVerbs}
	if related.ObjectName != "" {
		rule.ResourceNames = []string{related.ObjectName}
	}
	if related.Namespace != "" && resource.Namespaced {
		c.needs = append(c.needs, Requirement{Definition: c.def.Name, Namespace: related.Namespace, Rule: rule})
		return
	}
	c.add(!resource.Namespaced || c.outside(), rule)
}

// readNamespaces adds what it takes to read by the labels of namespaces.
func (c *composerNeeds) readNamespaces() {
	if slices.ContainsFunc(c.def.Handler.Reads(), func(related handlers.Related) bool { return related.NamespaceSelector != nil }) {
		c.add(true, rbacv1.PolicyRule{APIGroups: []string{corev1.GroupName}, Resources: []string{"namespaces"}, Verbs: watchVerbs})
	}
}

// patch adds what objects of one kind need to which the parents contribute. What is contributed has
// to go before a parent can, also when a namespace is deleted with its Roles: with a Role alone, an
// object that is gone could not be told from one that may not be read.
func (c *composerNeeds) patch(patched handlers.PatchedKind, resource kinds.Resource) {
	rule := rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Resources: []string{resource.Name}, Verbs: patchedVerbs}
	c.add(!resource.Namespaced || patched.AnyNamespace || c.outside(), rule)
}

// keep adds what is done with the parents: their status and finalizers are kept, and events are
// recorded about them.
func (c *composerNeeds) keep() {
	rule := func(resource string, verbs ...string) rbacv1.PolicyRule {
		rule := rbacv1.PolicyRule{APIGroups: []string{c.parent.Group}, Resources: []string{resource}, Verbs: verbs}
		if name := kube.SelectedName(c.def.Watch.FieldSelector); name != "" {
			rule.ResourceNames = []string{name}
		}
		return rule
	}
	verbs := c.parent.Subresources["status"]
	if !c.def.Status.None && slices.Contains(verbs, "patch") && !scheme.Scheme.Recognizes(c.def.Watch.Kind) {
		c.add(false, rule(c.parent.Name+"/status", "patch"))
	}
	if c.finalizes || c.notes || c.def.Handler.Marks() {
		c.add(c.outside(), rule(c.parent.Name, "patch"))
	}
	if c.outside() {
		c.add(true, rule(c.parent.Name, watchVerbs...))
	}
	if c.blocks {
		c.add(false, rule(c.parent.Name+"/finalizers", "update"))
	}
	events := rbacv1.PolicyRule{APIGroups: []string{eventsv1.GroupName}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}}
	needs := []Requirement{{Definition: c.def.Name, Namespace: metav1.NamespaceDefault, Rule: events}}
	if c.parent.Namespaced {
		needs = inNamespaces(c.def, events)
	}
	for _, need := range needs {
		need.Optional = true
		c.needs = append(c.needs, need)
	}
}

// add adds a rule for the namespaces that the definition watches, or for the whole cluster.
func (c *composerNeeds) add(everywhere bool, rule rbacv1.PolicyRule) {
	if everywhere {
		c.needs = append(c.needs, Requirement{Definition: c.def.Name, Rule: rule})
		return
	}
	c.needs = append(c.needs, inNamespaces(c.def, rule)...)
}
