package offline

import (
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// Snapshot holds objects that many Servers begin with, so that they are read once. Nothing of it
// changes. It is safe for concurrent use.
type Snapshot struct {
	label   string // by whose values objects are found at once
	objects map[Key]*unstructured.Unstructured
	byKind  map[schema.GroupVersionKind][]*unstructured.Unstructured
	byLabel map[string][]*unstructured.Unstructured
	byUID   map[types.UID]*unstructured.Unstructured
	read    sync.Map // of reading, the object as caches have it
}

// reading is a way in which an object is read.
type reading struct {
	object       *unstructured.Unstructured
	fieldManager string
	metadataOnly bool
}

// NewSnapshot returns one of objects, which it takes over. Of those with the same key, the first
// counts. Many of them are looked for by the values of a label.
func NewSnapshot(label string, objects []*unstructured.Unstructured) *Snapshot {
	s := &Snapshot{
		label: label, objects: make(map[Key]*unstructured.Unstructured, len(objects)),
		byKind:  map[schema.GroupVersionKind][]*unstructured.Unstructured{},
		byLabel: map[string][]*unstructured.Unstructured{}, byUID: make(map[types.UID]*unstructured.Unstructured, len(objects)),
	}
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, compareObjects)
	type version struct {
		kind schema.GroupVersionKind
		key  Key
	}
	seen := make(map[version]bool, len(objects))
	for _, o := range sorted {
		key, kind := KeyOf(o), o.GroupVersionKind()
		if seen[version{kind, key}] {
			continue
		}
		seen[version{kind, key}] = true
		if _, known := s.objects[key]; !known { // It may have been read in several versions.
			s.objects[key], s.byUID[o.GetUID()] = o, o
		}
		s.byKind[kind] = append(s.byKind[kind], o)
		if value, ok := o.GetLabels()[label]; ok {
			s.byLabel[value] = append(s.byLabel[value], o)
		}
	}
	return s
}

// compareObjects orders objects by namespace and name.
func compareObjects(a, b *unstructured.Unstructured) int {
	return strings.Compare(a.GetNamespace()+"\x00"+a.GetName(), b.GetNamespace()+"\x00"+b.GetName())
}

// NewServer returns a Server that begins with the objects of the Snapshot. finder knows the kinds
// that it is asked for.
func (s *Snapshot) NewServer(finder kinds.Finder) *Server {
	server := NewServer(finder)
	server.base = s
	return server
}

// List returns the objects of a kind in the order of their namespaces and names. They must not be
// changed.
func (s *Snapshot) List(kind schema.GroupVersionKind) []*unstructured.Unstructured {
	return s.byKind[kind]
}

// object returns the object of a key, nil for none. s may be nil.
func (s *Snapshot) object(key Key) *unstructured.Unstructured {
	if s == nil {
		return nil
	}
	return s.objects[key]
}

// candidates are the objects of a kind that a selector may select, nil for all. s may be nil.
func (s *Snapshot) candidates(kind schema.GroupVersionKind, selector labels.Selector) []*unstructured.Unstructured {
	if s == nil {
		return nil
	}
	if selector != nil {
		if value, exact := selector.RequiresExactMatch(s.label); exact {
			return slices.DeleteFunc(slices.Clone(s.byLabel[value]), func(o *unstructured.Unstructured) bool { return o.GroupVersionKind() != kind })
		}
	}
	return s.byKind[kind]
}

// kept returns an object that is read in some way as it was read before. s may be nil, and may not
// have the object.
func (s *Snapshot) kept(how reading, read func() (handlers.Object, error)) (handlers.Object, error) {
	if s.object(KeyOf(how.object)) != how.object {
		return read()
	}
	if known, ok := s.read.Load(how); ok {
		return known.(handlers.Object), nil //nolint:forcetypeassert // there is nothing else in it
	}
	object, err := read()
	if err == nil {
		s.read.Store(how, object)
	}
	return object, err
}
