package kube

import (
	"fmt"
	"regexp"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// missingRight are the words of the API server for a right that is missing: of its authorizer, of
// RBAC when a role would grant more than the writer has, and of owner references that block a
// deletion.
var missingRight = regexp.MustCompile(`User "(?:[^"\\]|\\.)*" cannot |` +
	`is attempting to grant RBAC permissions not currently held|` +
	`cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on`)

// LacksRight reports whether the API server has refused a request because a right is missing, as
// far as its words tell. Status 403 alone does not say that: admission policies, webhooks and
// quotas answer with it, too.
func LacksRight(err error) bool { return apierrors.IsForbidden(err) && SaysRightIsMissing(err.Error()) }

// SaysRightIsMissing is LacksRight for the text of an answer with status 403.
func SaysRightIsMissing(text string) bool { return missingRight.MatchString(text) }

// ForbiddenError means that a right is missing. Its text names the rule that would grant it, in the
// form that one pastes into a Role or ClusterRole.
type ForbiddenError struct {
	// Namespace is empty when the right is missing in the whole cluster.
	Namespace string
	// Rule grants what is missing. It names resources or URLs, not both.
	Rule rbacv1.PolicyRule
	// Err is what the API server answered; nil when the question was an access review.
	Err error
}

func (e *ForbiddenError) Error() string {
	where, role := "in all namespaces", "a ClusterRole"
	if e.Namespace != "" {
		where, role = "in namespace "+e.Namespace, "a Role of namespace "+e.Namespace
	}
	what := strings.Join(e.Rule.Resources, ", ")
	if len(e.Rule.NonResourceURLs) > 0 {
		what, where = strings.Join(e.Rule.NonResourceURLs, ", "), "of the API server"
	}
	if len(e.Rule.ResourceNames) > 0 {
		what += " " + strings.Join(e.Rule.ResourceNames, ", ")
	}
	return fmt.Sprintf("forbidden to %s %s %s; %s with this rule is missing: %s",
		enumerate(e.Rule.Verbs), what, where, role, ruleText(e.Rule))
}

// Unwrap returns the answer of the API server.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// ruleText writes a rule in one line, as it can be pasted into a Role.
func ruleText(rule rbacv1.PolicyRule) string {
	var fields []string
	add := func(name string, values []string) {
		if len(values) > 0 {
			fields = append(fields, fmt.Sprintf("%s: [%s]", name, quoted(values)))
		}
	}
	add("apiGroups", rule.APIGroups)
	add("resources", rule.Resources)
	add("resourceNames", rule.ResourceNames)
	add("nonResourceURLs", rule.NonResourceURLs)
	add("verbs", rule.Verbs)
	return "{" + strings.Join(fields, ", ") + "}"
}

func quoted(values []string) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = fmt.Sprintf("%q", value)
	}
	return strings.Join(texts, ", ")
}

func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
