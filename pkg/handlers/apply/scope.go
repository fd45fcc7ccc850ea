package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/kinds"
)

// objectCheck is a compiler that looks at what no type says: which objects there can be, and how
// they may be called.
type objectCheck struct{ *compiler }

// scopeOf reports whether a kind has its objects in namespaces, as far as that is known.
func (c objectCheck) scopeOf(kind schema.GroupVersionKind) (namespaced, known bool) {
	if resource, err := kinds.BuiltIn().Lookup(kind); err == nil {
		return resource.Namespaced, true
	}
	if c.kinds.ScopeOf == nil || kind.Kind == "" {
		return false, false
	}
	return c.kinds.ScopeOf(kind)
}

// checkKind reports a kind whose objects cannot be made and kept, and whether it is none.
func (c objectCheck) checkKind(path string, kind schema.GroupVersionKind) bool {
	before := len(c.problems)
	resource, err := kinds.BuiltIn().Lookup(kind)
	none := (*kinds.NotServedError)(nil)
	single := strings.TrimSuffix(kind.Kind, "List")
	switch {
	case single != kind.Kind && scheme.Scheme.Recognizes(kind) && !resource.Has("create"):
		c.report(path+".kind", fmt.Sprintf("%s is a list of objects, and a child is one object", kind.Kind),
			"write one child for each object, or one with forEach")
	case errors.As(err, &none):
		c.report(path+".kind", none.Reason(), none.Hint)
	case err != nil && c.isSubresource(kind):
		c.report(path+".kind", fmt.Sprintf("a %s is a part of another object, and cannot be a child", kind.Kind), "")
	case err != nil:
		if hint := kinds.BuiltIn().Hint(kind); hint != "" {
			c.report(path+".kind", fmt.Sprintf("%s has no kind %s", kind.GroupVersion(), kind.Kind), hint)
		}
	case !resource.Has("create") || !resource.Has("patch"):
		c.report(path+".kind", fmt.Sprintf("a %s cannot be a child: the API server keeps no such objects that could be changed", kind.Kind), "")
	}
	return len(c.problems) == before
}

// isSubresource reports whether client-go knows a kind that is none of the resources of Kubernetes.
func (c objectCheck) isSubresource(kind schema.GroupVersionKind) bool {
	return scheme.Scheme.Recognizes(kind) && slices.Contains([]string{"Scale", "Eviction", "TokenRequest"}, kind.Kind)
}

// checkScope reports a namespace where there cannot be one, and a missing one.
func (c objectCheck) checkScope(at place, metadata map[string]any) {
	namespaced, known := c.scopeOf(at.kind)
	if !known {
		return
	}
	_, written := metadata["namespace"]
	parent, parentKnown := c.scopeOf(c.kinds.Watched)
	switch {
	case written && !namespaced:
		c.report(at.path+".metadata.namespace", fmt.Sprintf("is there, but a %s belongs to no namespace", at.kind.Kind), "leave it out")
	case !written && namespaced && parentKnown && !parent:
		c.report(at.path+".metadata", fmt.Sprintf("has no namespace: a %s is in one, and the %s that it is made for is in none", at.kind.Kind, c.kinds.Watched.Kind),
			"add namespace")
	}
}

// checkRelatedScope reports where related objects are looked for and cannot be.
func (c objectCheck) checkRelatedScope(path string, r Related) {
	kind := schema.FromAPIVersionAndKind(r.APIVersion, r.Kind)
	namespaced, known := c.scopeOf(kind)
	parent, parentKnown := c.scopeOf(c.kinds.Watched)
	switch {
	case known && !namespaced && r.Namespace != "":
		c.report(path+".namespace", fmt.Sprintf("is there, but a %s belongs to no namespace", r.Kind), "leave it out")
	case known && !namespaced && r.SameNamespace:
		c.report(path+".sameNamespace", fmt.Sprintf("is true, but a %s belongs to no namespace", r.Kind), "leave it out")
	case parentKnown && !parent && r.Namespace == parentNamespace:
		c.report(path+".namespace", fmt.Sprintf("is that of the parent, but a %s belongs to no namespace", c.kinds.Watched.Kind), "write the name of one")
	case parentKnown && !parent && r.SameNamespace:
		c.report(path+".sameNamespace", fmt.Sprintf("is true, but a %s belongs to no namespace", c.kinds.Watched.Kind), "write namespace, or leave it out")
	case known && namespaced && r.Name != "" && r.Namespace == "" && !r.SameNamespace && c.kinds.ManyNamespaces:
		c.report(path+".name", "may be that of several objects, each in a namespace",
			"add namespace, or sameNamespace: true for the one beside the parent")
	}
}
