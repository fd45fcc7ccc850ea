package compose

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// leavesOthers reports whether parents that are not looked for may have contributed what is
// withdrawn, and it is not for the file of now to say what becomes of that.
func leavesOthers(r *Removal) bool {
	contributes := func(left Scope) bool {
		return slices.ContainsFunc(left.Patches, func(kind OwnedRecord) bool {
			return slices.ContainsFunc(r.Scope.Patches, func(o OwnedRecord) bool { return o.GroupKind() == kind.GroupKind() })
		})
	}
	return slices.ContainsFunc(r.Left, func(left Scope) bool { return contributes(left) && !listsAll(r.Now, left) })
}

// listsAll reports whether all parents of a scope are among those in the namespaces of a selection.
func listsAll(s *Selection, of Scope) bool {
	if of.parentKind() != s.Kind.GroupKind() || kube.SelectedName(s.Fields) != "" {
		return false
	}
	isOutside := func(namespace string) bool { return !slices.Contains(s.Namespaces, namespace) }
	return len(s.Namespaces) == 0 || len(of.Namespaces) > 0 && !slices.ContainsFunc(of.Namespaces, isOutside)
}

// unknownParents are those that contribute to objects and are not among the known ones.
func unknownParents(r *Removal, patched patchedObjects, known []handlers.Object) map[types.UID]bool {
	unknown := map[types.UID]bool{}
	for _, object := range patched.objects {
		for _, manager := range r.managersOn(object.object, nil) {
			_, parent, _ := ParsePatchManager(manager)
			unknown[parent] = true
		}
	}
	for _, parent := range known {
		delete(unknown, parent.UID())
	}
	return unknown
}
