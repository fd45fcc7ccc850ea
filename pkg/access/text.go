package access

import (
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

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
	var b strings.Builder
	for i, value := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", value)
	}
	return b.String()
}

// Text says that the right is missing and what would grant it.
func (n Requirement) Text() string {
	where, role := "in all namespaces", "a ClusterRole"
	if n.Namespace != "" {
		where, role = "in namespace "+n.Namespace, "a Role of namespace "+n.Namespace
	}
	what := strings.Join(n.Rule.Resources, ", ")
	if len(n.Rule.NonResourceURLs) > 0 {
		what, where = strings.Join(n.Rule.NonResourceURLs, ", "), "of the API server"
	}
	if len(n.Rule.ResourceNames) > 0 {
		what += " " + strings.Join(n.Rule.ResourceNames, ", ")
	}
	return fmt.Sprintf("forbidden to %s %s %s; %s with this rule is missing: %s",
		enumerate(n.Rule.Verbs), what, where, role, ruleText(n.Rule))
}

func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
