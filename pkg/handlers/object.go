package handlers

import (
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apijson "k8s.io/apimachinery/pkg/util/json"
)

// Object is one object of the cluster as the cache held it at one moment. It never changes, and
// whatever it returns is the caller's own copy: no handler can damage the cache. Its metadata is
// cheap; JSON and Into may have to decode or encode the whole object each time, so call them once.
// metadata.managedFields is not kept. It is safe for concurrent use.
type Object interface {
	// GroupVersionKind is the kind as the definition names it.
	GroupVersionKind() schema.GroupVersionKind
	// Namespace is empty for a cluster-scoped object.
	Namespace() string
	// Name is the object's name.
	Name() string
	// UID tells two objects of the same name apart.
	UID() types.UID
	// ResourceVersion is the version of this state of the object.
	ResourceVersion() string
	// Metadata returns a copy of the metadata without decoding the rest.
	Metadata() *metav1.ObjectMeta
	// JSON returns the whole object as JSON, apiVersion and kind included.
	JSON() ([]byte, error)
	// Into fills a pointer to a typed struct of the object's kind, or an
	// *unstructured.Unstructured. What was in it before is overwritten.
	Into(into any) error
}

// ObjectOf makes an Object of obj, for tests of handlers and for caches that keep decoded objects.
// It takes obj over: the caller must not change it afterwards. obj must be a typed API struct or
// *unstructured.Unstructured with apiVersion and kind filled in; anything else is an error.
// metadata.managedFields is dropped if it is there.
func ObjectOf(obj runtime.Object) (Object, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, fmt.Errorf("reading metadata of %T: %w", obj, err)
	}
	gvk := obj.GetObjectKind().GroupVersionKind()
	if gvk.Kind == "" || gvk.Version == "" {
		return nil, fmt.Errorf("reading %T %s/%s: apiVersion and kind are not filled in", obj, m.GetNamespace(), m.GetName())
	}
	if len(m.GetManagedFields()) > 0 {
		m.SetManagedFields(nil)
	}
	return decodedObject{gvk: gvk, meta: m, obj: obj}, nil
}

// decodedObject is an Object over a decoded API object, which it never hands out.
type decodedObject struct {
	gvk  schema.GroupVersionKind
	meta metav1.Object
	obj  runtime.Object
}

var _ Object = decodedObject{}

func (o decodedObject) GroupVersionKind() schema.GroupVersionKind { return o.gvk }
func (o decodedObject) Namespace() string                         { return o.meta.GetNamespace() }
func (o decodedObject) Name() string                              { return o.meta.GetName() }
func (o decodedObject) UID() types.UID                            { return o.meta.GetUID() }
func (o decodedObject) ResourceVersion() string                   { return o.meta.GetResourceVersion() }

func (o decodedObject) Metadata() *metav1.ObjectMeta {
	if a, ok := o.obj.(metav1.ObjectMetaAccessor); ok {
		if m, ok := a.GetObjectMeta().(*metav1.ObjectMeta); ok {
			return m.DeepCopy()
		}
	}
	return meta.AsPartialObjectMetadata(o.meta).ObjectMeta.DeepCopy()
}

func (o decodedObject) JSON() ([]byte, error) {
	b, err := json.Marshal(o.obj)
	if err != nil {
		return nil, fmt.Errorf("encoding %s %s/%s: %w", o.gvk.Kind, o.Namespace(), o.Name(), err)
	}
	return b, nil
}

func (o decodedObject) Into(into any) error {
	dst := reflect.ValueOf(into)
	if dst.Kind() != reflect.Pointer || dst.IsNil() {
		return fmt.Errorf("decoding %s %s/%s: want a non-nil pointer, have %T", o.gvk.Kind, o.Namespace(), o.Name(), into)
	}
	if dst.Type() == reflect.TypeOf(o.obj) {
		dst.Elem().Set(reflect.ValueOf(o.obj.DeepCopyObject()).Elem())
		return nil
	}
	b, err := o.JSON()
	if err != nil {
		return err
	}
	return DecodeJSON(b, into)
}

// DecodeJSON decodes a whole object from JSON into a pointer to a typed struct or an
// *unstructured.Unstructured, overwriting what was in it. Implementations of Object build Into on
// it.
func DecodeJSON(b []byte, into any) error {
	dst := reflect.ValueOf(into)
	if dst.Kind() != reflect.Pointer || dst.IsNil() {
		return fmt.Errorf("decoding object: want a non-nil pointer, have %T", into)
	}
	dst.Elem().SetZero()
	// Names of fields are matched as the API server matches them: by case, which encoding/json does
	// not.
	if err := apijson.Unmarshal(b, into); err != nil {
		return fmt.Errorf("decoding object into %T: %w", into, err)
	}
	return nil
}

// KindOfJSON says in words what a value is that DecodeJSON has decoded, such as "a string".
func KindOfJSON(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}
