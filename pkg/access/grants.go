package access

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Grants are rules by where they hold. They are as few as possible, in a fixed order.
type Grants struct {
	// Cluster are the rules for the whole cluster.
	Cluster []rbacv1.PolicyRule `json:"cluster,omitempty"`
	// Namespaces are the rules for single namespaces, by namespace, without those that hold in the
	// whole cluster.
	Namespaces map[string][]rbacv1.PolicyRule `json:"namespaces,omitempty"`
}

// unit is the smallest thing that a rule can be about: one resource, or one object, or one URL.
type unit struct {
	url, group, resource, name string // name is empty for all objects
}

// verbSets are the verbs for each unit.
type verbSets map[unit]map[string]bool

// Collect puts needs together.
func Collect(needs []Requirement) Grants {
	scopes := map[string]verbSets{}
	for _, need := range needs {
		if scopes[need.Namespace] == nil {
			scopes[need.Namespace] = verbSets{}
		}
		scopes[need.Namespace].add(need.Rule)
	}
	everywhere := scopes[""]
	grants := Grants{Cluster: everywhere.without(nil).rules()}
	for namespace, sets := range scopes {
		if rules := sets.without(everywhere).rules(); namespace != "" && len(rules) > 0 {
			if grants.Namespaces == nil {
				grants.Namespaces = map[string][]rbacv1.PolicyRule{}
			}
			grants.Namespaces[namespace] = rules
		}
	}
	return grants
}

func (s verbSets) add(rule rbacv1.PolicyRule) {
	for _, u := range units(rule) {
		if s[u] == nil {
			s[u] = map[string]bool{}
		}
		for _, verb := range rule.Verbs {
			s[u][verb] = true
		}
	}
}

// units takes a rule apart.
func units(rule rbacv1.PolicyRule) []unit {
	var found []unit
	for _, url := range rule.NonResourceURLs {
		found = append(found, unit{url: url})
	}
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, name := range names {
				found = append(found, unit{group: group, resource: resource, name: name})
			}
		}
	}
	return found
}

// without returns what neither a rule for all objects of s nor one of outer grants anyway.
func (s verbSets) without(outer verbSets) verbSets {
	left := verbSets{}
	for u, verbs := range s {
		all := u
		all.name = ""
		for verb := range verbs {
			if outer[u][verb] || outer[all][verb] || u != all && s[all][verb] {
				continue
			}
			if left[u] == nil {
				left[u] = map[string]bool{}
			}
			left[u][verb] = true
		}
	}
	return left
}

// rules writes the sets as rules: the resources of one group with the same verbs share one.
func (s verbSets) rules() []rbacv1.PolicyRule {
	type key struct {
		isURL              bool
		group, name, verbs string
	}
	byKey := map[key]*rbacv1.PolicyRule{}
	for u, set := range s {
		verbs := sortVerbs(slices.Collect(maps.Keys(set)))
		k := key{isURL: u.url != "", group: u.group, name: u.name, verbs: strings.Join(verbs, ",")}
		rule := byKey[k]
		if rule == nil {
			rule = &rbacv1.PolicyRule{Verbs: verbs}
			byKey[k] = rule
		}
		if u.url != "" {
			rule.NonResourceURLs = append(rule.NonResourceURLs, u.url)
			continue
		}
		rule.APIGroups, rule.Resources = []string{u.group}, append(rule.Resources, u.resource)
		if u.name != "" {
			rule.ResourceNames = []string{u.name}
		}
	}
	var rules []rbacv1.PolicyRule
	for _, rule := range byKey {
		slices.Sort(rule.Resources)
		slices.Sort(rule.NonResourceURLs)
		rules = append(rules, *rule)
	}
	slices.SortFunc(rules, compareRules)
	return joinNames(rules)
}

// joinNames makes one rule of neighbours that differ in the names of objects alone.
func joinNames(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var joined []rbacv1.PolicyRule
	for _, rule := range rules {
		if n := len(joined); n > 0 && len(rule.ResourceNames) > 0 && len(joined[n-1].ResourceNames) > 0 {
			last := &joined[n-1]
			if slices.Equal(last.APIGroups, rule.APIGroups) && slices.Equal(last.Resources, rule.Resources) &&
				slices.Equal(last.Verbs, rule.Verbs) {
				last.ResourceNames = append(last.ResourceNames, rule.ResourceNames...)
				continue
			}
		}
		joined = append(joined, rule)
	}
	return joined
}

// compareRules orders by group, resources, verbs and names; rules for single objects come after
// those for all, URLs last.
func compareRules(a, b rbacv1.PolicyRule) int {
	return cmp.Or(
		slices.Compare(a.NonResourceURLs, b.NonResourceURLs),
		slices.Compare(a.APIGroups, b.APIGroups),
		slices.Compare(a.Resources, b.Resources),
		cmp.Compare(min(len(a.ResourceNames), 1), min(len(b.ResourceNames), 1)),
		slices.Compare(a.Verbs, b.Verbs),
		slices.Compare(a.ResourceNames, b.ResourceNames),
	)
}

// verbOrder is the order in which people write verbs.
var verbOrder = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// sortVerbs sorts in place: verbOrder first, then the others by name.
func sortVerbs(verbs []string) []string {
	rank := func(verb string) int {
		if i := slices.Index(verbOrder, verb); i >= 0 {
			return i
		}
		return len(verbOrder)
	}
	slices.SortFunc(verbs, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
	return verbs
}
