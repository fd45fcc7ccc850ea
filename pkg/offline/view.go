package offline

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

// View is what a Server has of one kind, as a cache shows it. It is safe for concurrent use.
type View struct {
	// Server has the objects.
	Server *Server
	// Kind is their kind.
	Kind schema.GroupVersionKind
	// FieldManager is as for a kube.Watch.
	FieldManager string
	// MetadataOnly leaves out everything but the metadata.
	MetadataOnly bool
	// Namespaces are those of the objects; none stands for all.
	Namespaces []string
	// Labels selects objects; nil selects all.
	Labels labels.Selector
	// Fields selects objects; nil selects all.
	Fields fields.Selector
	// Name is that of all objects; empty for any.
	Name string
}

// object returns an object as the cache would have it, or false if it does not have it.
func (v View) object(o *unstructured.Unstructured) (handlers.Object, bool) {
	switch {
	case o == nil, o.GroupVersionKind() != v.Kind, v.Name != "" && o.GetName() != v.Name,
		len(v.Namespaces) > 0 && !slices.Contains(v.Namespaces, o.GetNamespace()),
		v.Labels != nil && !v.Labels.Matches(labels.Set(o.GetLabels())), v.Fields != nil && !MatchesFields(v.Fields, o):
		return nil, false
	}
	how := reading{object: o, fieldManager: v.FieldManager, metadataOnly: v.MetadataOnly}
	read, err := v.Server.base.kept(how, func() (handlers.Object, error) {
		text, err := o.MarshalJSON()
		if err != nil {
			return nil, err
		}
		return kube.ReadObject(text, v.Kind, v.FieldManager, v.MetadataOnly)
	})
	return read, err == nil
}

// Get returns the object, or false.
func (v View) Get(namespace, name string) (handlers.Object, bool) {
	return v.object(v.Server.Now(Key{GroupKind: v.Kind.GroupKind(), Namespace: namespace, Name: name}))
}

// GetByUID returns the object of that UID, or false.
func (v View) GetByUID(uid types.UID) (handlers.Object, bool) {
	return v.object(byUID(v.Server, v.Kind, uid))
}

// List returns the objects of a namespace, "" for all, that selector selects, nil for all.
func (v View) List(namespace string, selector labels.Selector) (found []handlers.Object) {
	for _, o := range v.Server.list(v.Kind, selector) {
		if namespace != "" && o.GetNamespace() != namespace || selector != nil && !selector.Matches(labels.Set(o.GetLabels())) {
			continue
		}
		if object, ok := v.object(o); ok {
			found = append(found, object)
		}
	}
	return found
}

// ListOwned returns the objects with an owner reference to uid.
func (v View) ListOwned(uid types.UID) []handlers.Object {
	return slices.DeleteFunc(v.List("", nil), func(o handlers.Object) bool {
		for _, owner := range o.Metadata().OwnerReferences {
			if owner.UID == uid {
				return false
			}
		}
		return true
	})
}

// ListAppliedBy returns the objects that a field manager has applied.
func (v View) ListAppliedBy(manager string) []handlers.Object {
	return slices.DeleteFunc(v.List("", nil), func(o handlers.Object) bool {
		return strings.HasSuffix(v.FieldManager, "/") && kube.AppliedBy(o)[manager] == nil
	})
}

// Keys returns the keys of all objects.
func (v View) Keys() (keys []kube.Key) {
	for _, o := range v.List("", nil) {
		keys = append(keys, kube.Key{Namespace: o.Namespace(), Name: o.Name()})
	}
	return keys
}

// Reached reports that the cache has everything.
func (View) Reached(kube.Key, string) bool { return true }

// Listed reports that the cache is complete.
func (View) Listed() bool { return true }

// Status reports that all is well.
func (View) Status() (status.State, error) { return status.Running, nil }
