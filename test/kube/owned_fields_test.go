package kube_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

const manager = "kooperd"

// The ways in which the API server answers a PATCH.
const (
	asProtobuf        = "application/vnd.kubernetes.protobuf"
	asJSON            = "application/json"
	asPartial         = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	applyPatch        = "application/apply-patch+yaml"
	mergePatch        = "application/merge-patch+json"
	labelTier         = "tier"
	labelPath         = ".metadata.labels.tier"
	wipeManagedFields = `{"metadata":{"managedFields":[{}]}}`
)

// children applies objects of one kind and sees them in a view.
type children struct {
	kind         schema.GroupVersionKind
	metadataOnly bool
	client       *http.Client
	url          string // of all objects
	view         *spectator
}

// patch sends a patch and returns the object that the API server answers with.
func (c *children) patch(t *testing.T, name, by, contentType, accept, patch string) handlers.Object {
	t.Helper()
	query := "?fieldManager=" + by
	if contentType == applyPatch {
		query += "&force=true"
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, c.url+"/"+name+query, bytes.NewReader([]byte(patch)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", accept)
	resp, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > http.StatusCreated {
		t.Fatalf("patching %s: %s %s, %v", name, resp.Status, body, err)
	}
	obj, err := kube.ReadObject(body, c.kind, manager, c.metadataOnly)
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

// apply applies a child of a parent. It has a selected label, another, and a field outside of the
// metadata.
func (c *children) apply(t *testing.T, name, accept string, parent *corev1.ConfigMap) handlers.Object {
	t.Helper()
	patch, err := json.Marshal(map[string]any{
		"apiVersion": c.kind.GroupVersion().String(), "kind": c.kind.Kind,
		"metadata": map[string]any{
			"name": name, "labels": map[string]string{"app": "child", labelTier: "front"},
			"ownerReferences": []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: parent.Name, UID: parent.UID}},
		},
		"data": map[string]string{"key": "value"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.patch(t, name, manager, applyPatch, accept, string(patch))
}

// await waits until the view has a version of an object.
func (c *children) await(t *testing.T, want handlers.Object) handlers.Object {
	t.Helper()
	var found handlers.Object
	c.view.await(t, "version "+want.ResourceVersion()+" of "+want.Name(), func() bool {
		obj, ok := c.view.GetByUID(want.UID())
		found = obj
		return ok && obj.ResourceVersion() == want.ResourceVersion()
	})
	return found
}

// paths are what is owned of an object, as one text.
func paths(obj handlers.Object) string {
	fields := kube.FieldsOf(obj)
	if fields == nil {
		return "none"
	}
	var all []string
	fields.Set().Iterate(func(p fieldpath.Path) { all = append(all, p.String()) })
	return strings.Join(all, " ")
}

// What a source keeps of managedFields follows what the API server says, of built-in and of custom
// kinds, of metadata and of whole objects, in lists, watches and answers.
func TestOwnedFields(t *testing.T) {
	group := newGroup(t)
	custom := schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Gear"}
	establish(t, definition(group, "Gear", "Namespaced"), "gears."+group)
	for _, kind := range []schema.GroupVersionKind{custom, configMapKind} {
		for _, metadataOnly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, metadata only: %t", kind.Kind, metadataOnly), func(t *testing.T) {
				checkOwnedFields(t, kind, metadataOnly)
			})
		}
	}
}

func checkOwnedFields(t *testing.T, kind schema.GroupVersionKind, metadataOnly bool) {
	t.Helper()
	ns := shared.Namespace(t)
	config := shared.AdminConfig()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	prefix := "/apis/"
	if kind.Group == "" {
		prefix = "/api/"
	}
	c := &children{kind: kind, metadataOnly: metadataOnly, client: client, url: config.Host + prefix + kind.GroupVersion().String() +
		"/namespaces/" + ns + "/" + strings.ToLower(kind.Kind) + "s"}
	accept := asJSON
	if kind == configMapKind {
		accept = asProtobuf
	}
	parents := [2]*corev1.ConfigMap{newParent(t, ns, "one"), newParent(t, ns, "other")}

	listed := c.apply(t, "a", accept, parents[0])
	connected, _ := connect(t, config)
	c.view = spectate(t, connected, kube.Watch{
		Kind: kind, Namespaces: []string{ns}, LabelSelector: labelSelector(t, "app=child"), MetadataOnly: metadataOnly, FieldManager: manager,
	})
	c.view.awaitState(t, status.Running)
	watched := c.apply(t, "b", asProtobuf+asPartial, parents[1]) // metadata are protobuf of any kind
	data := ".data.key"
	if kind != configMapKind {
		data = ".data .data.key" // The schema of this kind does not know data.
	}
	want := data + " .metadata.labels.app " + labelPath
	for i, answer := range []handlers.Object{listed, watched} {
		cached := c.await(t, answer)
		for _, obj := range []handlers.Object{answer, cached} {
			fields := kube.FieldsOf(obj)
			if got := paths(obj); got != want {
				t.Fatalf("%s has the fields %q, want %q", obj.Name(), got, want)
			}
			if diff := cmp.Diff([]types.UID{parents[i].UID}, fields.OwnerReferences()); diff != "" {
				t.Errorf("owners of %s (-want +got):\n%s", obj.Name(), diff)
			}
			if fields.APIVersion() != kind.GroupVersion().String() || len(fields.APIVersions()) != 1 {
				t.Errorf("%s was applied in the versions %q", obj.Name(), fields.APIVersions())
			}
		}
		if first, _ := c.view.Get(ns, "a"); kube.FieldsOf(first).Set() != kube.FieldsOf(cached).Set() {
			t.Errorf("%s has a set for itself", cached.Name())
		}
	}
	if !c.view.Listed() {
		t.Error("the view is not listed")
	}

	unlabelled := c.await(t, c.patch(t, "a", "kubectl", mergePatch, accept, `{"metadata":{"labels":{"tier":null}}}`))
	if got := paths(unlabelled); got != data+" .metadata.labels.app" {
		t.Errorf("without the label the fields are %q", got)
	}
	if other, _ := c.view.Get(ns, "b"); paths(other) != want {
		t.Errorf("the other child has the fields %q now", paths(other))
	}
	if got := paths(c.await(t, c.patch(t, "b", "kubectl", mergePatch, accept, `{"metadata":{"ownerReferences":null}}`))); got != want {
		t.Errorf("without the owner reference the fields are %q, want %q", got, want)
	}
	if b, _ := c.view.Get(ns, "b"); len(kube.FieldsOf(b).OwnerReferences()) != 0 {
		t.Errorf("an owner reference that is gone is owned: %q", kube.FieldsOf(b).OwnerReferences())
	}
	if got := paths(c.await(t, c.patch(t, "a", "kubectl", mergePatch, accept, wipeManagedFields))); got != "none" {
		t.Errorf("without managedFields the fields are %q", got)
	}
	if got := paths(c.await(t, c.apply(t, "a", accept, parents[0]))); got != want {
		t.Errorf("applied again the fields are %q, want %q", got, want)
	}
}

// newParent creates an object that may own others: the garbage collector removes what has an owner
// that does not exist.
func newParent(t *testing.T, namespace, name string) *corev1.ConfigMap {
	t.Helper()
	parent := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	parent, err := shared.Client().CoreV1().ConfigMaps(namespace).Create(t.Context(), parent, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return parent
}
