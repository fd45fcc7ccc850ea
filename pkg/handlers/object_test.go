package handlers_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

func typedConfigMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "cart", UID: "u-1", ResourceVersion: "42",
			CreationTimestamp: metav1.NewTime(time.Unix(1700000000, 0)),
			Labels:            map[string]string{"app": "web"},
			ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Data: map[string]string{"key": "value"},
	}
}

func untyped(t *testing.T, obj runtime.Object) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: content}
}

func objects(t *testing.T) map[string]handlers.Object {
	t.Helper()
	found := map[string]handlers.Object{}
	for name, obj := range map[string]runtime.Object{"typed": typedConfigMap(), "unstructured": untyped(t, typedConfigMap())} {
		o, err := handlers.ObjectOf(obj)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = o
	}
	return found
}

func TestObjectMetadata(t *testing.T) {
	for name, obj := range objects(t) {
		t.Run(name, func(t *testing.T) {
			if want := (schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}); obj.GroupVersionKind() != want {
				t.Errorf("GroupVersionKind = %v, want %v", obj.GroupVersionKind(), want)
			}
			got := []string{obj.Namespace(), obj.Name(), string(obj.UID()), obj.ResourceVersion()}
			if diff := cmp.Diff([]string{"shop", "cart", "u-1", "42"}, got); diff != "" {
				t.Errorf("accessors (-want +got):\n%s", diff)
			}
			want := typedConfigMap().ObjectMeta
			want.ManagedFields = nil
			if diff := cmp.Diff(&want, obj.Metadata()); diff != "" {
				t.Errorf("Metadata (-want +got):\n%s", diff)
			}
		})
	}
}

func TestObjectGivesCopies(t *testing.T) {
	for name, obj := range objects(t) {
		t.Run(name, func(t *testing.T) {
			before, err := obj.JSON()
			if err != nil {
				t.Fatal(err)
			}
			obj.Metadata().Labels["app"] = "changed"
			damaged, err := obj.JSON()
			if err != nil {
				t.Fatal(err)
			}
			for i := range damaged {
				damaged[i] = 'x'
			}
			var typed corev1.ConfigMap
			var content unstructured.Unstructured
			for _, into := range []any{&typed, &content} {
				if err := obj.Into(into); err != nil {
					t.Fatal(err)
				}
			}
			typed.Data["key"], typed.Labels["app"] = "changed", "changed"
			content.Object["data"].(map[string]any)["key"] = "changed"
			after, err := obj.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(before), string(after)); diff != "" {
				t.Errorf("object changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestObjectJSON(t *testing.T) {
	for name, obj := range objects(t) {
		t.Run(name, func(t *testing.T) {
			b, err := obj.JSON()
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"apiVersion": "v1", "kind": "ConfigMap",
				"metadata": map[string]any{
					"namespace": "shop", "name": "cart", "uid": "u-1", "resourceVersion": "42",
					"creationTimestamp": "2023-11-14T22:13:20Z", "labels": map[string]any{"app": "web"},
				},
				"data": map[string]any{"key": "value"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

func TestObjectInto(t *testing.T) {
	want := typedConfigMap()
	want.ManagedFields = nil
	for name, obj := range objects(t) {
		t.Run(name, func(t *testing.T) {
			got := corev1.ConfigMap{Data: map[string]string{"stale": "yes"}, Immutable: new(bool)}
			if err := obj.Into(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, &got); diff != "" {
				t.Errorf("Into (-want +got):\n%s", diff)
			}
			for bad, into := range map[string]any{
				"want a non-nil pointer, have <nil>":         nil,
				"want a non-nil pointer, have v1.ConfigMap":  corev1.ConfigMap{},
				"want a non-nil pointer, have *v1.ConfigMap": (*corev1.ConfigMap)(nil),
				"want a non-nil pointer, have *v1.Secret":    (*corev1.Secret)(nil),
			} {
				if err := obj.Into(into); err == nil || err.Error() != "decoding ConfigMap shop/cart: "+bad {
					t.Errorf("Into(%T) = %v, want %q", into, err, bad)
				}
			}
			// data is text in a ConfigMap and base64 in a Secret.
			if err := obj.Into(&corev1.Secret{}); err == nil {
				t.Error("a ConfigMap decoded into a Secret")
			}
		})
	}
}

func TestObjectIsSafeForConcurrentUse(t *testing.T) {
	for name, obj := range objects(t) {
		t.Run(name, func(t *testing.T) {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					var into corev1.ConfigMap
					_, err := obj.JSON()
					if err != nil || obj.Into(&into) != nil || obj.Metadata().Name != "cart" {
						t.Errorf("reading the object: %v", err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestObjectOfRefuses(t *testing.T) {
	for name, obj := range map[string]runtime.Object{
		"nil":     nil,
		"list":    &corev1.PodList{},
		"no kind": &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x"}},
		"status":  &metav1.Status{},
	} {
		if o, err := handlers.ObjectOf(obj); err == nil {
			t.Errorf("%s: ObjectOf = %v, want an error", name, o)
		}
	}
}

func TestDecodeJSONMatchesNamesByCase(t *testing.T) {
	type upper struct {
		Data map[string]string `json:"data"`
		N    any               `json:"n"`
	}
	got := upper{Data: map[string]string{"stale": "yes"}}
	if err := handlers.DecodeJSON([]byte(`{"DATA":{"a":"b"},"n":9007199254740993}`), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(upper{N: int64(9007199254740993)}, got); diff != "" {
		t.Errorf("DecodeJSON (-want +got):\n%s", diff)
	}
	if err := handlers.DecodeJSON([]byte(`{}`), upper{}); err == nil {
		t.Error("DecodeJSON took a struct that is no pointer")
	}
	if err := handlers.DecodeJSON([]byte(`{} {}`), &got); err == nil {
		t.Error("DecodeJSON took two values")
	}
}
