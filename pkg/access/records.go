package access

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/config"
)

// recordsSuffix follows the name of the lease in that of the ConfigMap with the records of what
// composers own.
const recordsSuffix = "-definitions"

// defaultLeaseName is that of the config language.
const defaultLeaseName = "kooperd"

// RecordsName is the name of the ConfigMap beside a lease in which is noted what composers own. An
// empty name stands for the default: without a lease there is that ConfigMap too.
func RecordsName(leaseName string) string { return cmp.Or(leaseName, defaultLeaseName) + recordsSuffix }

// NeedsRecords reports whether that ConfigMap is needed: some definition with composers is not
// paused.
func NeedsRecords(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Definitions, func(def config.Definition) bool { return !def.Paused && def.Handler.Composes() })
}

// RecordsOf returns where that ConfigMap is. namespace is as for OfLease.
func RecordsOf(lease config.LeaderElection, namespace string) types.NamespacedName {
	return types.NamespacedName{Namespace: cmp.Or(lease.Namespace, namespace), Name: RecordsName(lease.Name)}
}

// OfRecords returns what that ConfigMap needs.
func OfRecords(name types.NamespacedName) []Requirement {
	rule := func(names []string, verbs ...string) Requirement {
		return Requirement{ConfigMap: name.String(), Namespace: name.Namespace, Rule: rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: names, Verbs: verbs,
		}}
	}
	return []Requirement{rule([]string{name.Name}, "get", "update"), rule(nil, "create")}
}
