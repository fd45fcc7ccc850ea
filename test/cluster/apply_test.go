package cluster

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.cluster.kooperd.dev}
spec:
  group: cluster.kooperd.dev
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
`

func TestApply(t *testing.T) {
	namespace := shared.Namespace(t)
	widget := `
apiVersion: cluster.kooperd.dev/v1
kind: Widget
metadata: {name: one, namespace: ` + namespace + `}
spec: {size: SIZE}
`
	objects := shared.Apply(t, "# a comment alone\n---\n"+widgets+"---\n"+strings.ReplaceAll(widget, "SIZE", "1"))
	if len(objects) != 2 {
		t.Fatalf("%d objects were applied, want 2", len(objects))
	}
	if objects[1].GetUID() == "" {
		t.Error("the returned object has no uid: it is not what the API server has stored")
	}
	shared.Apply(t, strings.ReplaceAll(widget, "SIZE", "2"))
	resource := schema.GroupVersionResource{Group: "cluster.kooperd.dev", Version: "v1", Resource: "widgets"}
	stored, err := shared.Dynamic().Resource(resource).Namespace(namespace).Get(t.Context(), "one", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if size, _, _ := unstructured.NestedInt64(stored.Object, "spec", "size"); size != 2 {
		t.Errorf("size is %d, want 2 after the second time", size)
	}
}

func TestApplyNamespaces(t *testing.T) {
	name := "applied-" + unique()
	objects := shared.Apply(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: `+name+`}, data: {a: b}}`)
	if got := objects[0].GetNamespace(); got != "default" {
		t.Errorf("namespace is %q, want default", got)
	}
	cluster := shared.Apply(t, `{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: `+name+`}, value: 1}`)
	if got := cluster[0].GetNamespace(); got != "" {
		t.Errorf("namespace of a cluster-scoped object is %q, want none", got)
	}
}

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		text    string
		objects int
		wantErr string
	}{
		"nothing":         {"", 0, ""},
		"empty documents": {"---\n---\n# nothing\n---\n", 0, ""},
		"two":             {"{apiVersion: v1, kind: A, metadata: {name: a}}\n---\n{apiVersion: v1, kind: B, metadata: {name: b}}\n", 2, ""},
		"no name":         {"{apiVersion: v1, kind: A}", 0, "metadata.name are required"},
		"no YAML":         {"{", 0, "parsing a document"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := parse(tc.text)
			if tc.wantErr == "" && err != nil {
				t.Fatal(err)
			}
			if tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("error is %v, want %q in it", err, tc.wantErr)
			}
			if len(objects) != tc.objects {
				t.Errorf("%d objects, want %d", len(objects), tc.objects)
			}
		})
	}
}

func TestNamespace(t *testing.T) {
	var name string
	t.Run("An Inner/Test", func(t *testing.T) {
		name = shared.Namespace(t)
		if !strings.HasPrefix(name, "t-testnamespace-an-inner-test-") {
			t.Errorf("name is %q, want it to contain the test's", name)
		}
		if again := shared.Namespace(t); again == name {
			t.Errorf("name is %q twice", name)
		}
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "at-once"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.invalid/none"}}},
		}
		if _, err := shared.Client().CoreV1().Pods(name).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Errorf("creating a Pod at once: %v", err)
		}
	})
	namespace, err := shared.Client().CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err == nil && namespace.DeletionTimestamp == nil {
		t.Errorf("namespace %s is not being deleted after its test", name)
	}
}

func TestKubectl(t *testing.T) {
	if got := shared.Kubectl(t, "get", "namespace", "default", "-o", "name"); got != "namespace/default\n" {
		t.Errorf("kubectl says %q", got)
	}
}
