package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

func pod(name string) *corev1.Pod {
	created := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "shop", UID: "d3ee7e44", ResourceVersion: "42", Generation: 3, CreationTimestamp: created,
			Labels: map[string]string{"app": "web", "tier": "front"}, Annotations: map[string]string{"note": `a "quoted" \ word`},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "1"}},
			Finalizers:      []string{"example.com/f"},
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", Time: &created, FieldsType: "FieldsV1",
					FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"k:{\"name\":\"a\"}":{}}}`)},
				{Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{}`)},
			},
		},
		Spec:   corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "web", Image: "web:1", Args: []string{"--text", "}]\"\\"}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"},
	}
}

// podOf is a Pod with so many containers and conditions, and variables in each container.
func podOf(containers, variables int) *corev1.Pod {
	p := pod("a")
	for i := range containers {
		c := corev1.Container{Name: fmt.Sprint("c", i), Image: "registry.example/app:1", Args: []string{strings.Repeat("x", 100)}}
		for j := range variables {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprint("VARIABLE_", j), Value: "value"})
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: "Ready", Status: "True", Message: strings.Repeat("y", 50)})
	}
	return p
}

func encodeProtobuf(t testing.TB, object runtime.Object) []byte {
	t.Helper()
	s := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	var b bytes.Buffer
	if err := s.Encode(object, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodeJSON(t testing.TB, object any) []byte {
	t.Helper()
	b, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var podType = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}

func podList(names ...string) *corev1.PodList {
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	list.ResourceVersion, list.Continue = "77", "more"
	for _, name := range names {
		p := pod(name)
		p.TypeMeta = podType
		list.Items = append(list.Items, *p)
	}
	return list
}

// decode makes a Pod of what is left of it.
func decode(t *testing.T, o wire.Object) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{}
	var err error
	if o.Encoding == wire.Protobuf {
		err = p.Unmarshal(o.Data)
	} else {
		err = json.Unmarshal(o.Data, p)
	}
	if err != nil {
		t.Fatalf("decoding what is kept: %v", err)
	}
	return p
}

func TestListsAndObjects(t *testing.T) {
	tests := map[string]struct{ list, object []byte }{
		"protobuf":      {encodeProtobuf(t, podList("a", "b", "c")), encodeProtobuf(t, &podList("a").Items[0])},
		"JSON":          {encodeJSON(t, podList("a", "b", "c")), encodeJSON(t, podList("a").Items[0])},
		"indented JSON": {indented(t, podList("a", "b", "c")), indented(t, podList("a").Items[0])},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e, err := wire.ParseEnvelope(tc.list)
			if err != nil || e.Kind != corev1.SchemeGroupVersion.WithKind("PodList") {
				t.Fatalf("envelope %+v, %v", e.Kind, err)
			}
			list, err := e.List()
			if err != nil {
				t.Fatal(err)
			}
			if list.ResourceVersion != "77" || list.Continue != "more" || len(list.Objects) != 3 {
				t.Errorf("list of version %s with %d objects, more %q", list.ResourceVersion, len(list.Objects), list.Continue)
			}
			for i, name := range []string{"a", "b", "c"} {
				checkPod(t, list.Objects[i], name)
			}
			if e, err = wire.ParseEnvelope(tc.object); err != nil || e.Kind.Kind != "Pod" {
				t.Fatalf("envelope %+v, %v", e.Kind, err)
			}
			object, err := e.Object()
			if err != nil {
				t.Fatal(err)
			}
			checkPod(t, object, "a")
		})
	}
}

func indented(t *testing.T, object any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(object, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkPod compares what is kept of a pod with the pod.
func checkPod(t *testing.T, o wire.Object, name string) {
	t.Helper()
	want := pod(name)
	want.ManagedFields = nil
	if o.Name != name || o.Namespace != "shop" || o.UID != "d3ee7e44" || o.ResourceVersion != "42" {
		t.Errorf("object %s/%s %s at %s", o.Namespace, o.Name, o.UID, o.ResourceVersion)
	}
	got := decode(t, o)
	got.TypeMeta = metav1.TypeMeta{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
	m, err := o.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.ObjectMeta, *m); diff != "" {
		t.Errorf("metadata of %s (-want +got):\n%s", name, diff)
	}
	if diff := cmp.Diff(want.Labels, o.Labels()); diff != "" {
		t.Errorf("labels of %s (-want +got):\n%s", name, diff)
	}
	if bytes.Contains(o.Data, []byte("kubectl")) || len(o.Data) != cap(o.Data) {
		t.Errorf("%s keeps %d bytes in %d, managedFields among them: %t", name, len(o.Data), cap(o.Data), bytes.Contains(o.Data, []byte("kubectl")))
	}
}

// TestManagedFieldsAnywhere has managedFields in every place that JSON can have it.
func TestManagedFieldsAnywhere(t *testing.T) {
	for given, want := range map[string]string{
		`{"metadata":{"managedFields":[{"a":1}],"name":"x"}}`:              `{"metadata":{"name":"x"}}`,
		`{"metadata":{"name":"x","managedFields":[{"a":1}]}}`:              `{"metadata":{"name":"x"}}`,
		`{"metadata":{"name":"x" , "managedFields" : [] , "uid":"y"} }`:    `{"metadata":{"name":"x" ,  "uid":"y"} }`,
		`{"metadata":{"managedFields":null}}`:                              `{"metadata":{}}`,
		`{"metadata":{ "managedFields":[]} , "spec":{"managedFields":[]}}`: `{"metadata":{} , "spec":{"managedFields":[]}}`,
		`{"metadata":{}}`:   `{"metadata":{}}`,
		`{"metadata":null}`: `{"metadata":null}`,
		`{}`:                `{}`,
		` {"a":"\\\"}" } `:  ` {"a":"\\\"}" }`,
	} {
		e, err := wire.ParseEnvelope([]byte(given))
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		o, err := e.Object()
		if err != nil || string(o.Data) != want {
			t.Errorf("%s became %s, %v; want %s", given, o.Data, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	e, err := wire.ParseEnvelope([]byte(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"\u0061\"b","namespace":1}}`))
	if err != nil || e.Kind != (schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}) {
		t.Fatalf("envelope %+v, %v", e, err)
	}
	o, err := e.Object()
	if err != nil || o.Name != `a"b` || o.Namespace != "" {
		t.Errorf("object %q/%q, %v", o.Namespace, o.Name, err)
	}
}

// TestDamaged cuts answers off at every byte: that is an error, and never a list of less. After the
// list itself, protobuf has some fields that are not needed.
func TestDamaged(t *testing.T) {
	for _, whole := range [][]byte{encodeProtobuf(t, podList("a", "b")), bytes.TrimSpace(encodeJSON(t, podList("a", "b")))} {
		for n := range whole {
			list, err := wire.ParseList(whole[:n])
			if unneeded := whole[0] != '{' && n > len(whole)-6 && len(list.Objects) == 2; err == nil && !unneeded {
				t.Errorf("%d of %d bytes are taken for a list of %d", n, len(whole), len(list.Objects))
			}
		}
		if list, err := wire.ParseList(whole); err != nil || len(list.Objects) != 2 {
			t.Errorf("the whole is a list of %d, %v", len(list.Objects), err)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(encodeJSON(f, podList("a", "b")))
	f.Add([]byte(`{"metadata":{"managedFields":[{}],"name":"x"},"items":[{"metadata":{}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := wire.ParseEnvelope(text)
		if err != nil {
			return
		}
		_, _ = e.List()
		o, err := e.Object()
		o.Labels()
		if !json.Valid(text) || text[0] != '{' {
			return
		}
		if err != nil {
			t.Fatalf("a valid text is refused: %v", err)
		}
		if !json.Valid(o.Data) {
			t.Fatalf("%s became %s", text, o.Data)
		}
		var was, is unstructured.Unstructured
		if json.Unmarshal(text, &was.Object) != nil || json.Unmarshal(o.Data, &is.Object) != nil || strings.Count(string(text), "metadata") > 1 || strings.Count(string(text), "managedFields") > 1 {
			return // a name twice, which no API server writes
		}
		if m, ok := was.Object["metadata"].(map[string]any); ok {
			delete(m, "managedFields")
		}
		if diff := cmp.Diff(was.Object, is.Object); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	})
}

func FuzzProtobuf(f *testing.F) {
	f.Add(encodeProtobuf(f, podList("a", "b")))
	f.Add(encodeProtobuf(f, &podList("a").Items[0]))
	f.Fuzz(func(_ *testing.T, data []byte) {
		e, err := wire.ParseEnvelope(data)
		if err != nil {
			return
		}
		_, _ = e.List()
		if o, err := e.Object(); err == nil {
			o.Labels()
		}
	})
}

func BenchmarkObject(b *testing.B) {
	for name, encoded := range map[string][]byte{"protobuf": encodeProtobuf(b, &podList("a").Items[0]), "JSON": encodeJSON(b, podList("a").Items[0])} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(encoded)))
			for b.Loop() {
				e, err := wire.ParseEnvelope(encoded)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := e.Object(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestDamagedCBOR has answers that begin as CBOR does and go on as anything.
func TestDamagedCBOR(t *testing.T) {
	for _, data := range []string{"\xd9\xd9\xf7", "\xd9\xd9\xf7\xa1", "\xd9\xd9\xf7{}", "\xd9\xd9\xf7\xa1\x01\x02", "\xd9\xd9\xf7\x01"} {
		if e, err := wire.ParseEnvelope([]byte(data)); err == nil {
			t.Errorf("%q is %+v, want an error", data, e)
		}
	}
}
