package apply

import (
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
)

// shell is the part of a template that rights follow from.
type shell struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	RoleRef struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"roleRef"`
}

// elsewhere reports whether the object may be in another namespace than the parent.
func (t shell) elsewhere() bool {
	return t.Metadata.Namespace != "" && t.Metadata.Namespace != parentNamespace
}

// owns returns the kinds of the templates. A child that says its namespace may be in any.
func owns(c Config) []handlers.OwnedKind {
	whole := wholeKinds(c)
	byKind := map[schema.GroupVersionKind]*handlers.OwnedKind{}
	anyRole := map[schema.GroupVersionKind]bool{}
	var order []schema.GroupVersionKind
	for _, name := range sortedKeys(c.Children) {
		if c.Children[name].isPatch() {
			continue
		}
		var t shell
		_ = json.Unmarshal(c.Children[name].Template, &t) // What has no such fields has been refused.
		kind := schema.FromAPIVersionAndKind(t.APIVersion, t.Kind)
		owned, ok := byKind[kind]
		if !ok {
			owned = &handlers.OwnedKind{APIVersion: t.APIVersion, Kind: t.Kind, MetadataOnly: !whole[kind]}
			byKind[kind], order = owned, append(order, kind)
		}
		owned.AnyNamespace = owned.AnyNamespace || t.elsewhere()
		addRoles(owned, t, anyRole)
	}
	all := make([]handlers.OwnedKind, len(order))
	for i, kind := range order {
		all[i] = *byKind[kind]
		if anyRole[kind] {
			all[i].RoleNames, all[i].Binds = nil, nil
		}
	}
	return all
}

// wholeKinds returns the kinds of children of which more than the metadata is read: by an
// expression, or to find out whether they are ready, for which kinds without a status only have to
// exist.
func wholeKinds(c Config) map[schema.GroupVersionKind]bool {
	whole := map[schema.GroupVersionKind]bool{}
	p, _, err := compile(&c, handlers.Kinds{})
	if err != nil {
		return whole
	}
	for _, child := range p.children {
		if child.isPatch() {
			continue
		}
		_, _, hasStatus := expression.Field(expression.OfKind(child.kind), "status")
		if hasStatus || child.ready != nil || p.allRead || p.read[child.name] {
			whole[child.kind] = true
		}
	}
	return whole
}

// addRoles notes which roles are made, and bound. A name that is an expression may be any.
func addRoles(owned *handlers.OwnedKind, t shell, anyRole map[schema.GroupVersionKind]bool) {
	if !strings.HasPrefix(t.APIVersion, "rbac.authorization.k8s.io/") {
		return
	}
	kind := owned.GroupVersionKind()
	switch t.Kind {
	case "Role", "ClusterRole":
		if strings.Contains(t.Metadata.Name, "${") {
			anyRole[kind] = true
		} else if !slices.Contains(owned.RoleNames, t.Metadata.Name) {
			owned.RoleNames = append(owned.RoleNames, t.Metadata.Name)
		}
	case "RoleBinding", "ClusterRoleBinding":
		ref := handlers.RoleRef{Kind: t.RoleRef.Kind, Name: t.RoleRef.Name}
		if strings.Contains(ref.Kind+ref.Name, "${") {
			anyRole[kind] = true
		} else if !slices.Contains(owned.Binds, ref) {
			owned.Binds = append(owned.Binds, ref)
		}
	}
}
