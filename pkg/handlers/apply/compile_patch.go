package apply

import (
	"encoding/json"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// patchCheck is a compiler that looks at a patch.
type patchCheck struct{ *compiler }

// check looks at everything but the expressions.
func (c patchCheck) check(path string, out *child) {
	c.policies(path, out.Child)
	path += ".patch"
	grants := []string{"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
	if out.kind.Group == rbacv1.GroupName && slices.Contains(grants, out.kind.Kind) {
		c.report(path+".kind", "roles and their bindings cannot be patched, as that grants rights", "make one in a template")
	}
	var written map[string]any
	if err := json.Unmarshal(out.Patch, &written); err != nil {
		return // The head has said so.
	}
	something := c.metadata(path+".metadata", out.kind, written["metadata"])
	for _, name := range sortedKeys(written) {
		switch name {
		case "apiVersion", "kind", "metadata":
		case "status":
			c.report(path+".status", "cannot be contributed", "")
		default:
			something = true
		}
	}
	if !something && len(c.problems) == 0 {
		c.report(path, "contributes nothing", "add labels, annotations or other fields")
	}
}

// metadata looks at what names the object, and returns whether the rest contributes something.
func (c patchCheck) metadata(path string, kind schema.GroupVersionKind, written any) (something bool) {
	metadata, ok := written.(map[string]any)
	if !ok {
		c.report(path, "does not say which object it is", "write its name and, if it has one, its namespace")
		return false
	}
	if metadata["name"] == nil || metadata["name"] == "" {
		c.report(path, "has no name", "say which object it is; of several, write one for each with forEach")
	}
	for _, name := range sortedKeys(metadata) {
		switch name {
		case "name", "namespace":
		case "labels", "annotations":
			all, isMap := metadata[name].(map[string]any)
			something = something || !isMap || len(all) > 0
		default:
			c.report(path+"."+quoteLabel(name), "cannot be contributed: of the metadata, want labels and annotations", "")
		}
	}
	resource, err := kinds.BuiltIn().Lookup(kind)
	parent, parentErr := kinds.BuiltIn().Lookup(c.kinds.Watched)
	switch namespace := metadata["namespace"]; {
	case err != nil:
	case !resource.Namespaced && namespace != nil:
		c.report(path+".namespace", fmt.Sprintf("a %s is in no namespace", kind.Kind), "leave it out")
	case resource.Namespaced && namespace == nil && parentErr == nil && !parent.Namespaced:
		c.report(path, fmt.Sprintf("has no namespace, and a %s, the parent, is in none", c.kinds.Watched.Kind), "write the namespace of the object")
	}
	return something
}

// policies reports what a patch says that is for objects that are made.
func (c patchCheck) policies(path string, w Child) {
	const notMade = "the object is never made, and never deleted"
	for _, policy := range []struct {
		name string
		set  bool
		why  string
	}{
		{"readyWhen", w.ReadyWhen != "", "a patch is ready when it is applied"},
		{"formerly", len(w.Formerly) > 0, "a patch may have another name at any time"},
		{"drift", w.Drift != "", "what somebody removes is contributed again, and what somebody sets is a conflict"},
		{"conflicts", w.Conflicts != "", "a patch is never forced: the conditions name the other manager and the field"},
		{"update", w.Update != "", notMade},
		{"allowDataLoss", w.AllowDataLoss, notMade},
		{"adopt", w.Adopt != "", "nothing becomes kooperd's but the fields of the patch"},
		{"adoptFrom", len(w.AdoptFrom) > 0, "nothing is taken from other managers"},
		{"whenGone", w.WhenGone != "", notMade},
		{"ignore", len(w.Ignore) > 0, "what the patch does not have is left alone"},
		{"prune", w.Prune, notMade},
	} {
		if policy.set {
			c.report(path+"."+policy.name, "is not for a patch: "+policy.why, "leave it out")
		}
	}
}

// patches returns the kinds of the patches. One that says its namespace may be of an object in any.
func patches(c Config) []handlers.PatchedKind {
	var all []handlers.PatchedKind
	for _, name := range sortedKeys(c.Children) {
		written := c.Children[name]
		if !written.isPatch() {
			continue
		}
		var t shell
		_ = json.Unmarshal(written.Patch, &t) // What has no such fields has been refused.
		i := slices.IndexFunc(all, func(kind handlers.PatchedKind) bool { return kind.APIVersion == t.APIVersion && kind.Kind == t.Kind })
		if i < 0 {
			i = len(all)
			all = append(all, handlers.PatchedKind{APIVersion: t.APIVersion, Kind: t.Kind, MetadataOnly: true})
		}
		all[i].AnyNamespace = all[i].AnyNamespace || t.elsewhere()
		all[i].MetadataOnly = all[i].MetadataOnly && metadataAlone(written.Patch)
	}
	return all
}

// metadataAlone reports whether a patch has labels and annotations alone.
func metadataAlone(raw json.RawMessage) bool {
	var written map[string]json.RawMessage
	_ = json.Unmarshal(raw, &written) // As above.
	for name := range written {
		if name != "apiVersion" && name != "kind" && name != "metadata" {
			return false
		}
	}
	return true
}
