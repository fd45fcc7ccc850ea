package access

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ConfigSource is a config in ConfigMaps that kooperd reads through the API server.
type ConfigSource struct {
	// ConfigMaps have the config. Without any nothing is needed.
	ConfigMaps []types.NamespacedName
	// Accepted is the ConfigMap in which kooperd keeps the last accepted config.
	Accepted types.NamespacedName
}

// OfConfigSource returns what a config in ConfigMaps needs: to read each of them, to follow its
// changes, and to store the last accepted config under its name.
func OfConfigSource(source ConfigSource) []Requirement {
	if len(source.ConfigMaps) == 0 {
		return nil
	}
	var needs []Requirement
	add := func(name types.NamespacedName, named bool, verbs ...string) {
		rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: verbs}
		if named {
			rule.ResourceNames = []string{name.Name}
		}
		needs = append(needs, Requirement{ConfigMap: name.String(), Namespace: name.Namespace, Rule: rule})
	}
	for _, name := range source.ConfigMaps {
		add(name, true, "get", "list", "watch")
	}
	add(source.Accepted, true, "get", "update")
	add(source.Accepted, false, "create") // The authorizer does not know the name of an object to be made.
	return needs
}
