package suggest

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// IsBuiltIn reports whether client-go knows the kind.
func IsBuiltIn(gvk schema.GroupVersionKind) bool { return scheme.Scheme.Recognizes(gvk) }

// IsBuiltInVersion reports whether client-go knows kinds of the group and version.
func IsBuiltInVersion(gv schema.GroupVersion) bool {
	return gv.Group == "" && gv.Version == "v1" || gv.Group != "" && scheme.Scheme.IsVersionRegistered(gv)
}

// homes returns the group versions that have the kind, the preferred ones first.
func homes(kind string) []schema.GroupVersion {
	var found []schema.GroupVersion
	for _, gv := range scheme.Scheme.PrioritizedVersionsAllGroups() {
		if IsBuiltIn(gv.WithKind(kind)) && !notWatchable(kind) {
			found = append(found, gv)
		}
	}
	return found
}

// notWatchable tells of names that every group registers beside its kinds: options of requests, and
// lists.
func notWatchable(kind string) bool {
	return strings.HasSuffix(kind, "Options") || strings.HasSuffix(kind, "List") || kind == "WatchEvent"
}

// kindsOf returns the kinds of objects that a group version has.
func kindsOf(gv schema.GroupVersion) []string {
	var names []string
	for name := range scheme.Scheme.KnownTypes(gv) {
		if !notWatchable(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// KindHomeHint says where a kind is that its group version lacks, or which kind of it has a similar
// name; "" when nothing is known of it.
func KindHomeHint(gv schema.GroupVersion, kind string) string {
	if found := homes(kind); len(found) > 0 {
		return fmt.Sprintf("did you mean apiVersion %q?", found[0])
	}
	if c := Closest(kind, kindsOf(gv)); c != "" && strings.HasPrefix(Fold(kind), Fold(c)) {
		return fmt.Sprintf("did you mean %q?", c)
	}
	return ""
}

// VersionHint says where a kind is whose group version does not exist.
func VersionHint(gv schema.GroupVersion, kind string) string {
	for _, home := range homes(kind) {
		if home.Group == gv.Group || gv.Group == "" {
			return fmt.Sprintf("did you mean %q?", home)
		}
	}
	return ""
}

// KindNameHint finds the kind that a resource name such as pods or a kind in lower case stands for.
func KindNameHint(text string) string {
	name := Fold(text)
	candidates := []string{name, strings.TrimSuffix(name, "s"), strings.TrimSuffix(name, "es"),
		strings.TrimSuffix(name, "ies") + "y"}
	for _, gv := range scheme.Scheme.PrioritizedVersionsAllGroups() {
		for _, kind := range kindsOf(gv) {
			if slices.Contains(candidates, Fold(kind)) {
				return fmt.Sprintf("did you mean %q?", kind)
			}
		}
	}
	if text == "" {
		return ""
	}
	return "kinds are singular and begin with a capital letter"
}

// GroupVersionHint explains an apiVersion that is none: the group alone, or a wrong spelling.
func GroupVersionHint(text string) string {
	group := strings.ToLower(strings.Trim(text, "/ "))
	if g, v, ok := strings.Cut(group, "/"); ok && scheme.Scheme.IsVersionRegistered(schema.GroupVersion{Group: g, Version: v}) {
		return fmt.Sprintf("did you mean %q?", group)
	}
	if versions := scheme.Scheme.PrioritizedVersionsForGroup(group); group != "" && len(versions) > 0 {
		return fmt.Sprintf("did you mean %q?", versions[0])
	}
	if group == "v1" || group == "core" || group == "core/v1" {
		return `did you mean "v1"?`
	}
	if group != "" && !strings.Contains(group, "/") && strings.Contains(group, ".") {
		return fmt.Sprintf("write %q with the version that is served", group+"/v1")
	}
	return ""
}
