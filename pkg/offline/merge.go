package offline

import (
	"fmt"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
)

// merger applies objects as the API server does, by its own code.
type merger struct {
	mu       sync.Mutex
	builtIn  managedfields.TypeConverter
	deduced  managedfields.TypeConverter
	managers map[schema.GroupVersionKind]*managedfields.FieldManager
}

func newMerger() *merger {
	return &merger{
		builtIn: applyconfigurations.NewTypeConverter(scheme.Scheme), deduced: managedfields.NewDeducedTypeConverter(),
		managers: map[schema.GroupVersionKind]*managedfields.FieldManager{},
	}
}

// manager returns what merges objects of a kind. Of custom kinds, no schema is known: their lists
// are taken as a whole.
func (m *merger) manager(kind schema.GroupVersionKind) (*managedfields.FieldManager, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.managers[kind]; known != nil {
		return known, nil
	}
	converter := m.deduced
	if scheme.Scheme.Recognizes(kind) {
		converter = m.builtIn
	}
	made, err := managedfields.NewDefaultCRDFieldManager(converter, sameVersion{}, noDefaults{}, emptyObjects{}, kind, kind.GroupVersion(), "", nil)
	if err != nil {
		return nil, fmt.Errorf("making the field manager of %s: %w", kind.Kind, err)
	}
	m.managers[kind] = made
	return made, nil
}

// apply returns what becomes of an object, nil for none, by a server-side apply.
func (m *merger) apply(live, applied *unstructured.Unstructured, manager string, force bool) (*unstructured.Unstructured, error) {
	kind := applied.GroupVersionKind()
	fields, err := m.manager(kind)
	if err != nil {
		return nil, err
	}
	from := &unstructured.Unstructured{Object: map[string]any{}}
	if from.SetGroupVersionKind(kind); live != nil {
		from = live.DeepCopy()
	}
	applied = applied.DeepCopy()
	applied.SetManagedFields(nil)
	merged, err := fields.Apply(from, applied, manager, force)
	if err != nil {
		return nil, err
	}
	now, ok := merged.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("applying a %s: the result is a %T", kind.Kind, merged)
	}
	return now, nil
}

// hasStatus reports whether objects of a kind of Kubernetes have a status from the first moment on.
func hasStatus(kind schema.GroupVersionKind) bool {
	typed, err := scheme.Scheme.New(kind)
	if err != nil {
		return false
	}
	_, ok := reflect.TypeOf(typed).Elem().FieldByName("Status")
	return ok
}

// sameVersion converts nothing: each object is in one version alone.
type sameVersion struct{}

func (sameVersion) Convert(_, _, _ any) error { return nil }

func (sameVersion) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	kind := in.GetObjectKind().GroupVersionKind()
	if to, ok := target.KindForGroupVersionKinds([]schema.GroupVersionKind{kind}); !ok || to != kind {
		return nil, runtime.NewNotRegisteredGVKErrForTarget("offline", kind, target)
	}
	return in, nil
}

func (sameVersion) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

// noDefaults fills in nothing.
type noDefaults struct{}

func (noDefaults) Default(runtime.Object) {}

// emptyObjects makes objects that say no more than their kind.
type emptyObjects struct{}

func (emptyObjects) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(kind)
	return o, nil
}
