package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
)

func makePatch(tb testing.TB, object runtime.Object) *DesiredPatch {
	tb.Helper()
	d, err := makerFor(website).makePatch(handlers.Patch{Object: object})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestMakePatch(t *testing.T) {
	one := int32(1)
	d := makePatch(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &one}})
	want := map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "spec": map[string]any{"replicas": int64(1)},
		"metadata": map[string]any{"name": "web", "namespace": "team-a", "labels": map[string]any{PatchedLabel(installation): "true"}},
	}
	if diff := cmp.Diff(want, d.tree); diff != "" {
		t.Errorf("the patch (-want +got):\n%s", diff)
	}
	if d.Name != "Deployment/web" || d.ID != idOf(deploymentKind, "team-a", "web") {
		t.Errorf("it is %s of %s", d.Name, d.ID)
	}
	secret := makePatch(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "web"}, StringData: map[string]string{"a": "b"}})
	if diff := cmp.Diff(map[string]any{"a": "Yg=="}, secret.tree["data"]); diff != "" || secret.tree["stringData"] != nil {
		t.Errorf("the data of a Secret (-want +got):\n%s", diff)
	}
}

func TestMakePatchMistakes(t *testing.T) {
	data := map[string]any{"data": map[string]any{"a": "b"}}
	with := func(change func(tree map[string]any)) runtime.Object {
		u := untyped(configMapKind, "", "web", data)
		change(u.Object)
		return u
	}
	for want, object := range map[string]runtime.Object{
		"it has no object": nil,
		"the plugin does not say that it patches batch/v1 Job": untyped(schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}, "", "web", data),
		"metadata.name is empty":                               untyped(configMapKind, "", "", data),
		"it contributes nothing":                               untyped(configMapKind, "", "web", nil),
		"a status cannot be contributed":                       with(func(tree map[string]any) { tree["status"] = map[string]any{"a": "b"} }),
		"metadata.finalizers cannot be contributed": with(func(tree map[string]any) {
			object(tree, "metadata")["finalizers"] = []any{"a/b"}
		}),
		"metadata.ownerReferences cannot be contributed": with(func(tree map[string]any) {
			object(tree, "metadata")["ownerReferences"] = []any{map[string]any{"uid": "u"}}
		}),
		"label kooperd.dev/parent-uid is a mark of kooperd": with(func(tree map[string]any) {
			object(tree, "metadata")["labels"] = map[string]any{ParentUIDLabel: "u"}
		}),
		"the kind is cluster-scoped": untyped(namespaceKind, "team-a", "web", data),
	} {
		if _, err := makerFor(website).makePatch(handlers.Patch{Object: object}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	m := makerFor(website)
	owned := m.kinds[configMapKind]
	owned.MetadataOnly, owned.AnyNamespace = true, false
	m.kinds[configMapKind] = owned
	if _, err := m.makePatch(handlers.Patch{Object: untyped(configMapKind, "", "web", data)}); err == nil || !strings.Contains(err.Error(), "MetadataOnly") {
		t.Errorf("error %v, want one about MetadataOnly", err)
	}
	labels := untyped(configMapKind, "team-b", "web", nil)
	labels.SetLabels(map[string]string{"a": "b"})
	if _, err := m.makePatch(handlers.Patch{Object: labels}); err == nil || !strings.Contains(err.Error(), "AnyNamespace") {
		t.Errorf("error %v, want one about AnyNamespace", err)
	}
}

func TestPatchManager(t *testing.T) {
	manager := PatchManager("sites", "uid")
	if definition, parent, ok := ParsePatchManager(manager); definition != "sites" || parent != "uid" || !ok {
		t.Errorf("%s is of %s and %s: %t", manager, definition, parent, ok)
	}
	for _, other := range []string{"kooperd", "kooperd/", "kooperd/sites", "kooperd/sites/", "kooperd//uid", "kooperd-create", "kubectl"} {
		if _, _, ok := ParsePatchManager(other); ok {
			t.Errorf("%s is that of a patch", other)
		}
	}
	longest := PatchManager(strings.Repeat("a", 63), "01234567-89ab-cdef-0123-456789abcdef")
	if len(longest) > 128 {
		t.Errorf("a manager has %d characters", len(longest))
	}
}

// What is desired is compared with what the API server notes as ours, by its own library.
func TestPatchIsComparedWithTheLiveObject(t *testing.T) {
	container := func(name, image string, ports ...any) map[string]any {
		c := map[string]any{"name": name, "image": image}
		if ports != nil {
			c["ports"] = ports
		}
		return c
	}
	spec := func(fields map[string]any) map[string]any { return map[string]any{"spec": fields} }
	port := map[string]any{"containerPort": int64(80), "protocol": "TCP"}
	base := spec(map[string]any{
		"containers": []any{container("side", "a", port)}, "selector": map[string]any{"a": "b"}, "n": int64(1), "groups": []any{"x"},
	})
	for name, tc := range map[string]struct {
		desired map[string]any
		edit    func(spec map[string]any)
		changed bool
		lost    string
	}{
		"the same": {desired: base},
		"others have more": {desired: base, edit: func(spec map[string]any) {
			spec["more"] = "more"
			spec["containers"] = append(spec["containers"].([]any), container("another", "b"))
			spec["groups"] = append(spec["groups"].([]any), "y")
		}},
		"another value": {changed: true, desired: spec(map[string]any{
			"containers": []any{container("side", "b", port)}, "selector": map[string]any{"a": "b"}, "n": int64(1), "groups": []any{"x"},
		})},
		"a field less": {changed: true, desired: spec(map[string]any{
			"containers": []any{container("side", "a", port)}, "selector": map[string]any{"a": "b"}, "groups": []any{"x"},
		})},
		"an item less": {changed: true, desired: spec(map[string]any{
			"selector": map[string]any{"a": "b"}, "n": int64(1), "groups": []any{"x"},
		})},
		"a value of a set less": {changed: true, desired: spec(map[string]any{
			"containers": []any{container("side", "a", port)}, "selector": map[string]any{"a": "b"}, "n": int64(1), "groups": []any{},
		})},
		"another value in what is one value": {changed: true, desired: spec(map[string]any{
			"containers": []any{container("side", "a", port)}, "selector": map[string]any{"a": "c"}, "n": int64(1), "groups": []any{"x"},
		})},
		"a field more": {lost: "spec.more", desired: spec(map[string]any{
			"containers": []any{container("side", "a", port)}, "selector": map[string]any{"a": "b"}, "n": int64(1), "groups": []any{"x"}, "more": "x",
		})},
		"taken away": {lost: "spec.n", desired: base, edit: func(spec map[string]any) { spec["n"] = int64(2) }},
		"removed":    {lost: "spec.n", desired: base, edit: func(spec map[string]any) { delete(spec, "n") }},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster()
			id := idOf(deploymentKind, "team-a", "web")
			c.edit(id, "owner", func(tree map[string]any) {
				tree["spec"] = map[string]any{"containers": []any{container("main", "main")}, "groups": []any{"z"}}
			})
			manager := PatchManager(definition, website.UID)
			before := makePatch(t, untyped(deploymentKind, "", "web", base))
			if _, err := c.apply(deploymentKind, id, manager, before.tree, false); err != nil {
				t.Fatal(err)
			}
			if tc.edit != nil {
				c.edit(id, "rival", func(tree map[string]any) { tc.edit(object(tree, "spec")) })
			}
			owned := fieldpath.NewSet()
			if entry := c.objects[id].managers[manager]; entry != nil {
				owned = entry.Set()
			}
			d := makePatch(t, untyped(deploymentKind, "", "web", tc.desired))
			state, err := d.compare(owned, func() (map[string]any, error) { return c.objects[id].tree, nil })
			if err != nil {
				t.Fatal(err)
			}
			var lost []string
			for _, field := range state.lost {
				lost = append(lost, field.text)
			}
			if state.changed != tc.changed || strings.Join(lost, " ") != tc.lost {
				t.Errorf("changed %t, lost %q; want %t, %q", state.changed, lost, tc.changed, tc.lost)
			}
			if !state.current() && tc.edit == nil { // To apply it makes it right.
				if _, err := c.apply(deploymentKind, id, manager, d.tree, false); err != nil {
					t.Fatal(err)
				}
				state, err := d.compare(c.objects[id].managers[manager].Set(), func() (map[string]any, error) { return c.objects[id].tree, nil })
				if err != nil || !state.current() {
					t.Errorf("after an apply: %+v, %v", state, err)
				}
			}
		})
	}
}
