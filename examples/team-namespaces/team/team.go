// Package team is a composer: each Namespace with a team gets a quota, a network policy that lets
// only its own pods in, and a role with a binding for the team's people.
//
//	handler: team: {pods: 20, groups: "oidc:"}
package team

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Label is the label of a Namespace that names its team.
const Label = "team"

// verbs are what a team may do with its own objects.
var verbs = []string{"get", "list", "watch", "create", "update", "patch", "delete"}

// name is that of all objects that are made in a Namespace.
const name = "team"

// Config is the plugin's config.
type Config struct {
	// Pods is how many pods a Namespace may have.
	Pods int64 `json:"pods"`
	// Groups stands before the team's name in the name of the group of its people.
	Groups string `json:"groups"`
}

// Plugin is the plugin "team".
var Plugin = handlers.Plugin[Config]{
	Name:    "team",
	Summary: "Gives each Namespace of a team a quota, a network policy, a role and a role binding",
	Schema: `
#Config: {
	// How many pods a Namespace may have. Default: 20.
	pods?: int & >=1
	// What stands before the team's name in the name of the group of its people. Default: "".
	groups?: string
}`,
	Defaults: func() Config { return Config{Pods: 20} },
	Owns: func(Config) []handlers.OwnedKind {
		return []handlers.OwnedKind{
			{APIVersion: "v1", Kind: "ResourceQuota", MetadataOnly: true},
			{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", MetadataOnly: true},
			{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role", MetadataOnly: true, RoleNames: []string{name}},
			{
				APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding", MetadataOnly: true,
				Binds: []handlers.RoleRef{{Kind: "Role", Name: name}},
			},
		}
	},
	MetadataOnly: func(Config) bool { return true },
	NewComposer: func(_ context.Context, _ handlers.Env, c Config) (handlers.Composer, error) {
		return handlers.Compose(c.compose), nil
	},
}

// compose says what a Namespace of a team has.
func (c Config) compose(_ context.Context, ns *metav1.PartialObjectMetadata, _ handlers.Children) (handlers.Composition, error) {
	team, ok := ns.Labels[Label]
	if !ok {
		return handlers.Composition{}, nil
	}
	in := metav1.ObjectMeta{Namespace: ns.Name, Name: name}
	return handlers.Composition{Children: handlers.ChildrenOf(
		&corev1.ResourceQuota{ObjectMeta: in, Spec: corev1.ResourceQuotaSpec{
			Hard: corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(c.Pods, resource.DecimalSI)},
		}},
		&networkingv1.NetworkPolicy{ObjectMeta: in, Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}},
		}},
		&rbacv1.Role{ObjectMeta: in, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"", "apps"}, Resources: []string{"pods", "services", "configmaps", "deployments"}, Verbs: verbs},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: in,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: c.Groups + team}},
		},
	)}, nil
}
