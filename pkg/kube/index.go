package kube

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
)

// maxLabelIndexes bounds the label indexes of one store: each costs memory for every object that has the label, and time with
// every change, whether or not somebody asks again.
const maxLabelIndexes = 4

// indexes find the objects of a store without looking at all of them. Each is made when it is asked for first: most definitions
// never ask. They belong to the lock of the store.
type indexes struct {
	owners *index            // by the UIDs of owner references
	labels map[string]*index // by the values of one label
}

// index is the objects by something that is written in them, of which one object may have several.
type index struct {
	of      func(*object) []string
	objects map[string][]*object
}

// byOwner names an object by its owners.
func byOwner(o *object) []string {
	m, err := o.Metadata()
	if err != nil || len(m.OwnerReferences) == 0 {
		return nil
	}
	uids := make([]string, 0, len(m.OwnerReferences))
	for _, owner := range m.OwnerReferences {
		if uid := string(owner.UID); !slices.Contains(uids, uid) {
			uids = append(uids, uid)
		}
	}
	return uids
}

// byLabel names an object by the value of a label.
func byLabel(name string) func(*object) []string {
	return func(o *object) []string {
		if value, ok := o.Labels()[name]; ok {
			return []string{value}
		}
		return nil
	}
}

func (i *index) add(o *object, names []string) {
	for _, name := range names {
		i.objects[name] = append(i.objects[name], o)
	}
}

func (i *index) remove(o *object, names []string) {
	for _, name := range names {
		all := i.objects[name]
		at := slices.Index(all, o)
		if at < 0 {
			continue
		}
		if len(all) == 1 {
			delete(i.objects, name)
			continue
		}
		last := len(all) - 1
		all[at], all[last] = all[last], nil
		i.objects[name] = all[:last]
	}
}

// change puts one object in the place of another; either may be nil.
func (i *index) change(old, now *object) {
	if old != nil {
		i.remove(old, i.of(old))
	}
	if now != nil {
		i.add(now, i.of(now))
	}
}

// change changes all indexes.
func (x *indexes) change(old, now *object) {
	for _, i := range x.all() {
		i.change(old, now)
	}
}

func (x *indexes) all() []*index {
	if x.owners == nil && len(x.labels) == 0 {
		return nil
	}
	all := make([]*index, 0, 1+len(x.labels))
	if x.owners != nil {
		all = append(all, x.owners)
	}
	for _, i := range x.labels {
		all = append(all, i)
	}
	return all
}

func (x *indexes) setLabel(name string, i *index) {
	if x.labels == nil {
		x.labels = map[string]*index{}
	}
	x.labels[name] = i
}

func newIndex(of func(*object) []string) *index {
	return &index{of: of, objects: map[string][]*object{}}
}

// owned returns the objects with an owner reference to uid.
func (s *store) owned(uid types.UID) []*object {
	find := func() ([]*object, bool) {
		if s.indexes.owners == nil {
			return nil, false
		}
		return slices.Clone(s.indexes.owners.objects[string(uid)]), true
	}
	return s.lookup(find, byOwner, func(i *index) { s.indexes.owners = i })
}

// selected returns the objects that selector may select, all of them where there is no index for it, of one namespace or all.
func (s *store) selected(namespace string, selector labels.Selector) []*object {
	name, values := indexed(selector)
	if name == "" || !s.mayIndex(name) {
		return s.all(namespace)
	}
	find := func() ([]*object, bool) {
		i := s.indexes.labels[name]
		if i == nil {
			return nil, false
		}
		var found []*object
		for value := range values {
			found = append(found, i.objects[value]...)
		}
		return found, true
	}
	found := s.lookup(find, byLabel(name), func(i *index) { s.indexes.setLabel(name, i) })
	if namespace == "" {
		return found
	}
	return slices.DeleteFunc(found, func(o *object) bool { return o.Namespace != namespace })
}

// indexed returns a label that a selector wants to have one of some values; an empty one if it wants nothing of the kind.
func indexed(selector labels.Selector) (name string, values sets.Set[string]) {
	if selector == nil {
		return "", nil
	}
	requirements, _ := selector.Requirements()
	for _, r := range requirements {
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			return r.Key(), sets.New(r.ValuesUnsorted()...)
		}
	}
	return "", nil
}

// mayIndex tells whether there is an index of a label, or room for one.
func (s *store) mayIndex(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.indexes.labels[name] != nil || len(s.indexes.labels) < maxLabelIndexes
}

// lookup finds something in an index, which it makes if it is not there. To read names from all objects takes longer than to sort
// them in, and nobody shall wait for the lock meanwhile: what has changed until then is read again.
func (s *store) lookup(find func() ([]*object, bool), of func(*object) []string, keep func(*index)) []*object {
	s.mu.RLock()
	found, ok := find()
	s.mu.RUnlock()
	if ok {
		return found
	}
	objects := s.all("")
	read := make(map[*object][]string, len(objects))
	for _, o := range objects {
		read[o] = of(o)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := find(); ok {
		return found
	}
	made := newIndex(of)
	for _, o := range s.objects {
		names, ok := read[o]
		if !ok {
			names = of(o)
		}
		made.add(o, names)
	}
	keep(made)
	found, _ = find()
	return found
}
