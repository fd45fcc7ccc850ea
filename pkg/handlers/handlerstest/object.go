package handlerstest

import (
	"encoding/json"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Object makes an Object of obj: YAML or JSON text (string or []byte), or a runtime.Object, which
// it takes over. A typed built-in object without apiVersion and kind gets them. Anything that is no
// object ends the test.
func Object(t testing.TB, obj any) handlers.Object {
	t.Helper()
	var decoded runtime.Object
	switch v := obj.(type) {
	case string:
		decoded = parse(t, []byte(v))
	case []byte:
		decoded = parse(t, v)
	case runtime.Object:
		decoded = withKind(t, v)
	default:
		t.Fatalf("handlerstest.Object: want text or a runtime.Object, have %T", obj)
	}
	o, err := handlers.ObjectOf(decoded)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func parse(t testing.TB, text []byte) *unstructured.Unstructured {
	t.Helper()
	b := text
	if !json.Valid(b) { // the YAML parser does not know all of JSON's escapes
		var err error
		if b, err = yaml.YAMLToJSONStrict(text); err != nil {
			t.Fatalf("reading object: %v", err)
		}
	}
	var u unstructured.Unstructured
	if err := u.UnmarshalJSON(b); err != nil {
		t.Fatalf("reading object: %v", err)
	}
	return &u
}

func withKind(t testing.TB, obj runtime.Object) runtime.Object {
	t.Helper()
	if !obj.GetObjectKind().GroupVersionKind().Empty() {
		return obj
	}
	kinds, _, err := scheme.Scheme.ObjectKinds(obj)
	if err != nil {
		t.Fatalf("finding the kind of %T: %v", obj, err)
	}
	obj.GetObjectKind().SetGroupVersionKind(kinds[0])
	return obj
}

// Lister lists the objects in it. It is safe for concurrent use as long as nobody changes it.
type Lister []handlers.Object

var _ handlers.Lister = Lister(nil)

// Get returns the first object of that name, or false.
func (l Lister) Get(namespace, name string) (handlers.Object, bool) {
	for _, o := range l {
		if o.Namespace() == namespace && o.Name() == name {
			return o, true
		}
	}
	return nil, false
}

// List returns the objects of one namespace ("" for all) whose labels match selector (nil for all).
func (l Lister) List(namespace string, selector labels.Selector) []handlers.Object {
	var found []handlers.Object
	for _, o := range l {
		if namespace != "" && o.Namespace() != namespace {
			continue
		}
		if selector == nil || selector.Matches(labels.Set(o.Metadata().Labels)) {
			found = append(found, o)
		}
	}
	return found
}

// ListOwned returns the objects with an owner reference to uid.
func (l Lister) ListOwned(uid types.UID) []handlers.Object {
	var found []handlers.Object
	for _, o := range l {
		owns := func(owner metav1.OwnerReference) bool { return owner.UID == uid }
		if slices.ContainsFunc(o.Metadata().OwnerReferences, owns) {
			found = append(found, o)
		}
	}
	return found
}
