package handlerstest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Patch returns a copy of what is contributed by one patch as a T, a pointer to the struct of its
// kind or *unstructured.Unstructured. name is Patch.Name, or what an empty one stands for. Without
// such a patch the test ends.
func Patch[T runtime.Object](t testing.TB, composition handlers.Composition, name string) T {
	t.Helper()
	into, ok := reflect.TypeAssert[T](reflect.New(reflect.TypeFor[T]().Elem()))
	if !ok {
		t.Fatalf("patch %s: want a pointer to a struct, have %s", name, reflect.TypeFor[T]())
	}
	names := make([]string, 0, len(composition.Patches))
	for _, patch := range composition.Patches {
		u, err := unstructuredOf(patch.Object)
		if err != nil {
			t.Fatalf("patch %q: %v", patch.Name, err)
		}
		if called := patchName(patch, u); called != name {
			names = append(names, called)
			continue
		}
		if err := Object(t, u).Into(into); err != nil {
			t.Fatalf("patch %s: %v", name, err)
		}
		return into
	}
	t.Fatalf("there is no patch %s; there are %s", name, strings.Join(names, ", "))
	return into
}

// patchName is the name of a patch within its parent.
func patchName(patch handlers.Patch, u *unstructured.Unstructured) string {
	return childName(handlers.Child{Name: patch.Name}, u)
}

// patches looks at the patches of an answer.
func (j *judge) patches(patches []handlers.Patch) {
	names, objects := map[string]bool{}, map[string]bool{}
	for _, patch := range patches {
		u, err := unstructuredOf(patch.Object)
		if err != nil {
			j.reportf("patch %q: %v", patch.Name, err)
			continue
		}
		name := patchName(patch, u)
		if names[name] {
			j.reportf("patch %s: there are two of that name", name)
		}
		names[name] = true
		namespace := u.GetNamespace()
		if namespace == "" {
			namespace = j.req.Object.Namespace()
		}
		object := fmt.Sprintf("%s %s/%s", u.GroupVersionKind().GroupKind(), namespace, u.GetName())
		if objects[object] {
			j.reportf("patch %s: another patch is of the same object", name)
		}
		if objects[object] = true; slices.Contains(j.objects, object) {
			j.reportf("patch %s: the object is a child of the same parent", name)
		}
		for _, before := range patch.After {
			if _, ok := j.byName[before]; !ok {
				j.reportf("patch %s: it comes after child %s, which there is not", name, before)
			}
		}
		j.patch(name, u)
	}
}

// patch looks at one patch by itself.
func (j *judge) patch(name string, u *unstructured.Unstructured) {
	i := slices.IndexFunc(j.bound.Patches(), func(kind handlers.PatchedKind) bool { return kind.GroupVersionKind() == u.GroupVersionKind() })
	if i < 0 {
		j.reportf("patch %s: Patches has no %s %s", name, u.GetAPIVersion(), u.GetKind())
		return
	}
	kind := j.bound.Patches()[i]
	if u.GetName() == "" {
		j.reportf("patch %s: metadata.name is empty", name)
	}
	parent, namespace := j.req.Object.Namespace(), u.GetNamespace()
	if parent != "" && namespace != "" && namespace != parent && !kind.AnyNamespace {
		j.reportf("patch %s: it is in namespace %s, its parent in %s, and Patches does not say AnyNamespace", name, namespace, parent)
	}
	if mapping, err := j.mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version); err == nil {
		switch namespaced := mapping.Scope.Name() == meta.RESTScopeNameNamespace; {
		case !namespaced && namespace != "":
			j.reportf("patch %s: the kind is cluster-scoped, and metadata.namespace is %s", name, namespace)
		case namespaced && namespace == "" && parent == "" && !j.sample:
			j.reportf("patch %s: metadata.namespace is empty, and the parent has no namespace", name)
		}
	}
	j.contribution(name, kind, u)
}

// contribution looks at what a patch contributes.
func (j *judge) contribution(name string, kind handlers.PatchedKind, u *unstructured.Unstructured) {
	if len(u.GetOwnerReferences()) > 0 || len(u.GetFinalizers()) > 0 {
		j.reportf("patch %s: of the metadata, want labels and annotations", name)
	}
	something := len(u.GetLabels()) > 0 || len(u.GetAnnotations()) > 0
	for field, value := range u.Object {
		member, isObject := value.(map[string]any)
		empty := value == nil || isObject && len(member) == 0
		switch {
		case field == "apiVersion", field == "kind", field == "metadata", empty:
		case field == "status":
			j.reportf("patch %s: a status cannot be contributed", name)
		case kind.MetadataOnly:
			j.reportf("patch %s: it has %s, and Patches says MetadataOnly", name, field)
		default:
			something = true
		}
	}
	if !something {
		j.reportf("patch %s: it contributes nothing", name)
	}
}
