package offline_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/offline"
)

var (
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
)

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

func serve(t *testing.T, objects ...string) (*offline.Server, dynamic.Interface) {
	t.Helper()
	server := offline.NewServer(kinds.BuiltIn())
	for _, text := range objects {
		server.Put(parse(t, text))
	}
	client, err := dynamic.NewForConfig(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// apply applies an object as the runtime does.
func apply(t *testing.T, client dynamic.Interface, resource schema.GroupVersionResource, manager string, force bool, text string) (*unstructured.Unstructured, error) {
	t.Helper()
	o := parse(t, text)
	return client.Resource(resource).Namespace(o.GetNamespace()).Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: force})
}

const settings = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: a}, data: {one: x, two: text}}"

func TestApplyMakesChangesAndRemoves(t *testing.T) {
	server, client := serve(t)
	made, err := apply(t, client, configMaps, "kooperd", true, settings)
	if err != nil {
		t.Fatal(err)
	}
	if made.GetUID() == "" || made.GetResourceVersion() == "" || len(made.GetManagedFields()) != 1 {
		t.Fatalf("what was made is %v", made.Object)
	}
	same, err := apply(t, client, configMaps, "kooperd", true, settings)
	if err != nil || same.GetResourceVersion() != made.GetResourceVersion() {
		t.Errorf("the same once more has version %s and not %s, %v", same.GetResourceVersion(), made.GetResourceVersion(), err)
	}
	now, err := apply(t, client, configMaps, "kooperd", true, strings.Replace(settings, ", two: text", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	if data, _, _ := unstructured.NestedStringMap(now.Object, "data"); len(data) != 1 || data["one"] != "x" {
		t.Errorf("data is %v, want what is still applied", data)
	}
	if now.GetResourceVersion() == made.GetResourceVersion() || now.GetUID() != made.GetUID() {
		t.Error("a change keeps the version, or makes another object")
	}
	key := offline.Key{GroupKind: schema.GroupKind{Kind: "ConfigMap"}, Namespace: "a", Name: "settings"}
	if server.Before(key) != nil || server.Now(key) == nil {
		t.Error("it was there before, or is not now")
	}
}

func TestApplyMergesListsByKey(t *testing.T) {
	const deployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: a},
		spec: {template: {spec: {containers: [{name: %s, image: web}]}}}}`
	_, client := serve(t)
	if _, err := apply(t, client, deployments, "other", false, strings.Replace(deployment, "%s", "one", 1)); err != nil {
		t.Fatal(err)
	}
	now, err := apply(t, client, deployments, "kooperd", false, strings.Replace(deployment, "%s", "two", 1))
	if err != nil {
		t.Fatal(err)
	}
	if containers, _, _ := unstructured.NestedSlice(now.Object, "spec", "template", "spec", "containers"); len(containers) != 2 {
		t.Errorf("the containers are %v, want those of both", containers)
	}
	if _, ok := now.Object["status"]; !ok || now.GetGeneration() != 2 {
		t.Errorf("it has no status, or generation %d and not 2", now.GetGeneration())
	}
}

func TestApplyIsRefused(t *testing.T) {
	const foreign = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: a, uid: u1, resourceVersion: '7'}, data: {one: z}}"
	with := func(field string) string { return strings.Replace(settings, "namespace: a", "namespace: a, "+field, 1) }
	cases := map[string]struct {
		applied string
		force   bool
		want    func(error) bool
	}{
		"an object that is to be created":  {applied: with("resourceVersion: '1'"), force: true, want: apierrors.IsConflict},
		"another object of that name":      {applied: with("uid: u2"), force: true, want: apierrors.IsConflict},
		"fields of another field manager":  {applied: settings, want: apierrors.IsConflict},
		"the same, which are to be forced": {applied: settings, force: true, want: func(err error) bool { return err == nil }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, foreign)
			if _, err := apply(t, client, configMaps, "kooperd", tc.force, tc.applied); !tc.want(err) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestPatchesAndDeletion(t *testing.T) {
	server, client := serve(t, settings)
	all := client.Resource(configMaps).Namespace("a")
	key := offline.Key{GroupKind: schema.GroupKind{Kind: "ConfigMap"}, Namespace: "a", Name: "settings"}
	const add = `[{"op":"test","path":"/metadata/finalizers","value":null},{"op":"add","path":"/metadata/finalizers","value":["example.com/f"]}]`
	if _, err := all.Patch(t.Context(), "settings", types.JSONPatchType, []byte(add), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := all.Patch(t.Context(), "settings", types.JSONPatchType, []byte(add), metav1.PatchOptions{}); err == nil {
		t.Error("a test in a patch that fails is not noticed")
	}
	stale := `{"metadata":{"resourceVersion":"2"},"data":{"two":null}}`
	if _, err := all.Patch(t.Context(), "settings", types.MergePatchType, []byte(stale), metav1.PatchOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("a patch of an old version has the error %v", err)
	}
	if err := all.Delete(t.Context(), "settings", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if now := server.Now(key); now == nil || now.GetDeletionTimestamp() == nil {
		t.Fatalf("an object with a finalizer is %v after its deletion", now)
	}
	if _, err := all.Patch(t.Context(), "settings", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if server.Now(key) != nil || server.Before(key) == nil {
		t.Error("it is still there, or is not known to have been")
	}
	if _, err := all.Get(t.Context(), "settings", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("getting it gives %v", err)
	}
}

func TestListSelects(t *testing.T) {
	_, client := serve(t, settings,
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: b, labels: {team: x}}}",
		"{apiVersion: v1, kind: Secret, metadata: {name: c, namespace: a, labels: {team: x}}}")
	for selector, want := range map[string]int{"": 2, "team=x": 1, "team=y": 0} {
		found, err := client.Resource(configMaps).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		if err != nil || len(found.Items) != want {
			t.Errorf("%q selects %d, %v, want %d", selector, len(found.Items), err, want)
		}
	}
	if found, err := client.Resource(configMaps).Namespace("a").List(t.Context(), metav1.ListOptions{}); err != nil || len(found.Items) != 1 {
		t.Errorf("namespace a has %d, %v", len(found.Items), err)
	}
}
