package kinds

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// RuleResource is one of the resources of a rule, in one of its API groups.
type RuleResource struct {
	// Group and Name are as in the rule; the name has the subresource, as in "pods/status".
	Group, Name string
	// Namespaced is false for a resource whose objects belong to no namespace.
	Namespaced bool
	// Unknown is set if nothing is known of the resource, not even whether it has namespaces.
	Unknown bool
}

// RuleError means that a part of a rule grants nothing, or that it is not known whether it does. An
// API server stores such a rule, and its access reviews say yes to it.
type RuleError struct {
	// Field is the part: "resources" or "verbs".
	Field string
	// Index is the element of the field.
	Index int
	// Err is the reason, a *NotServedError or *UnknownError, or a failure to ask.
	Err error
}

func (e *RuleError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *RuleError) Unwrap() error { return e.Err }

const (
	// anything is RBAC's wildcard.
	anything = "*"
	// Subresources that are only ever authorized, never served: the right to block the deletion of
	// an owner.
	finalizers = "finalizers"
)

// virtualVerbs are those that are only ever authorized: no request has them, so discovery does not
// know them.
var virtualVerbs = []string{"approve", "attest", "bind", "escalate", "impersonate", "sign", "use"}

// virtualResources are resources and subresources that are only ever authorized: discovery does not
// know them.
var virtualResources = map[schema.GroupResource]bool{
	{Resource: "users"}:  true, // to be impersonated
	{Resource: "groups"}: true,
	{Group: "authentication.k8s.io", Resource: "uids"}:                 true,
	{Group: "authentication.k8s.io", Resource: "userextras"}:           true,
	{Group: "certificates.k8s.io", Resource: "signers"}:                true,
	{Group: "policy", Resource: "podsecuritypolicies"}:                 true, // served until Kubernetes 1.24
	{Resource: "nodes/checkpoint"}:                                     true, // to the kubelet
	{Resource: "nodes/configz"}:                                        true,
	{Resource: "nodes/healthz"}:                                        true,
	{Resource: "nodes/log"}:                                            true,
	{Resource: "nodes/metrics"}:                                        true,
	{Resource: "nodes/pods"}:                                           true,
	{Resource: "nodes/spec"}:                                           true,
	{Resource: "nodes/stats"}:                                          true,
	{Resource: "nodes/statusz"}:                                        true,
	{Group: "discovery.k8s.io", Resource: "endpointslices/restricted"}: true,
	{Resource: "endpoints/restricted"}:                                 true,
	{Group: "resource.k8s.io", Resource: "resourceclaims/binding"}:     true,
	{Group: "resource.k8s.io", Resource: "resourceclaims/driver"}:      true,
	{Group: "route.openshift.io", Resource: "routes/custom-host"}:      true,
}

// Rule looks up what a rule names. A rule with several groups and resources is about all pairs of
// them, most of which do not exist: it is enough that each resource and each verb is part of one
// that does. resources are the pairs that exist, or may exist because nothing is known of them. The
// errors are *RuleError.
func Rule(ctx context.Context, finder Finder, rule rbacv1.PolicyRule) (resources []RuleResource, errs []error) {
	l := lookup{finder: finder, rule: rule, verbs: map[string]bool{}}
	for i := range rule.Resources {
		l.resource(ctx, i)
	}
	if len(l.errs) == 0 {
		l.ruleVerbs()
	}
	return l.found, l.errs
}

// lookup is one call of Rule.
type lookup struct {
	finder Finder
	rule   rbacv1.PolicyRule
	found  []RuleResource
	verbs  map[string]bool // that one of the resources has
	custom bool            // a resource is not of Kubernetes, or is a wildcard: it may have any verb
	errs   []error
}

func (l *lookup) fail(field string, index int, err error) {
	l.errs = append(l.errs, &RuleError{Field: field, Index: index, Err: err})
}

// resource looks for one of the resources in all groups.
func (l *lookup) resource(ctx context.Context, i int) {
	name, subresource, _ := strings.Cut(l.rule.Resources[i], "/")
	var missing []error
	exists := false
	for _, group := range l.rule.APIGroups {
		found, err := l.pair(ctx, schema.GroupResource{Group: group, Resource: name}, subresource)
		if err != nil && !IsUnknown(err) {
			missing = append(missing, err)
			continue
		}
		if err != nil {
			missing, l.custom = append(missing, err), true
		} else {
			exists = true
		}
		l.found = append(l.found, RuleResource{
			Group: group, Name: l.rule.Resources[i], Namespaced: found.Namespaced, Unknown: err != nil,
		})
	}
	if !exists && len(missing) > 0 {
		l.fail("resources", i, mostHelpful(missing))
	}
}

// mostHelpful is the failure to ask if there is one, else a question, else an answer with a hint.
func mostHelpful(errs []error) error {
	rank := func(err error) int {
		notServed, ok := err.(*NotServedError) //nolint:errorlint // made right before
		switch {
		case !IsAnswer(err):
			return 0
		case IsUnknown(err):
			return 1
		case ok && notServed.Hint != "":
			return 2
		}
		return 3
	}
	return slices.MinFunc(errs, func(a, b error) int { return rank(a) - rank(b) })
}

// pair looks for one resource of one group, and notes its verbs.
func (l *lookup) pair(ctx context.Context, resource schema.GroupResource, subresource string) (Resource, error) {
	whole := resource
	if subresource != "" {
		whole.Resource += "/" + subresource
	}
	if resource.Group == anything || strings.Contains(whole.Resource, anything) {
		l.custom = true
		return Resource{Namespaced: true}, nil
	}
	if virtualResources[resource] {
		l.custom = true
		return Resource{}, nil
	}
	found, err := l.finder.Resource(ctx, resource)
	if err != nil {
		return Resource{}, err
	}
	verbs, ok := found.Verbs, true
	if subresource != "" {
		verbs, ok = found.Subresources[subresource]
	}
	switch {
	case subresource == finalizers, virtualResources[whole]:
		l.custom = true
	case !ok:
		return Resource{}, l.noSubresource(found, subresource)
	}
	l.custom = l.custom || len(BuiltIn().group(resource.Group)) == 0
	for _, verb := range verbs {
		l.verbs[verb] = true
	}
	return found, nil
}

func (l *lookup) noSubresource(of Resource, subresource string) error {
	err := &NotServedError{What: fmt.Sprintf("subresource %s of %s", subresource, describeResource(of.GroupResource()))}
	if _, offline := l.finder.(*Table); offline {
		err.By = Definition
		if len(BuiltIn().group(of.Group)) > 0 {
			err.By = Kubernetes
		}
	}
	return err
}

// ruleVerbs finds verbs that none of the resources has.
func (l *lookup) ruleVerbs() {
	if len(l.rule.Resources) == 0 {
		return
	}
	for i, verb := range l.rule.Verbs {
		usual := slices.Contains(usualVerbs, verb)
		hint := ""
		if slices.Contains(usualVerbs, fold(verb)) && !usual {
			hint = fmt.Sprintf("did you mean %q?", fold(verb))
		}
		switch {
		case verb == anything, l.verbs[verb], slices.Contains(virtualVerbs, verb), strings.Contains(verb, ":"):
			continue
		case l.custom && hint == "":
			continue // Only the authorizer knows the verbs that a custom resource may have.
		}
		l.fail("verbs", i, &NotServedError{
			What: fmt.Sprintf("verb %s for %s", verb, strings.Join(l.rule.Resources, ", ")), By: l.authority(), Hint: hint,
		})
	}
}

// authority is who has been asked.
func (l *lookup) authority() Authority {
	if _, offline := l.finder.(*Table); offline {
		return Kubernetes
	}
	return APIServer
}
