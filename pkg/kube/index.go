package kube

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
)

// maxLabelIndexes bounds the label indexes of one cache. Each costs memory for every object that
// has the label, and time with every change, whether or not it is used again.
const maxLabelIndexes = 4

// indexName is what objects are looked up by.
type indexName struct {
	by    indexKind
	label string // by label: which one
}

// indexKind is what of an object is indexed.
type indexKind int

const (
	byNamespace indexKind = iota
	byOwner               // the UIDs of owner references
	byUID                 // the object's UID
	byLabel               // the value of one label
	byManager             // the field managers that are kept, where these are several
)

// of returns the values of an object; it may have none, or several.
func (a indexName) of(o *object) []string {
	switch a.by {
	case byNamespace:
		return []string{o.Namespace}
	case byUID:
		return []string{string(o.UID)}
	case byLabel:
		if value, ok := o.Labels()[a.label]; ok {
			return []string{value}
		}
		return nil
	case byManager:
		return o.codec.fields.managers()
	default:
		var uids []string
		for _, owner := range o.Owners() {
			uids = append(uids, string(owner.UID))
		}
		return uids
	}
}

// index is the objects by their values.
type index map[string]holders

// holders are the objects that have one value. Most often that is one object, which is not worth a
// map.
type holders struct {
	first *object // not nil
	more  map[*object]struct{}
}

func (i index) add(o *object, values []string) {
	for _, value := range values {
		h := i[value]
		switch {
		case h.first == nil || h.first == o:
			h.first = o
		case h.more == nil:
			h.more = map[*object]struct{}{o: {}}
		default:
			h.more[o] = struct{}{}
		}
		i[value] = h
	}
}

func (i index) remove(o *object, values []string) {
	for _, value := range values {
		h := i[value]
		if h.first != o {
			delete(h.more, o)
			continue
		}
		h.first = nil
		for another := range h.more {
			h.first = another
			delete(h.more, another)
			break
		}
		if i[value] = h; h.first == nil {
			delete(i, value)
		}
	}
}

// indexes find the objects of a cache without looking at all of them. Each is made when it is first
// needed, as most definitions need none. A new list of everything drops them, as what was needed
// once may never be needed again. They are guarded by the mutex of the cache.
type indexes map[indexName]index

// mayHave reports whether an index is there, or may be made.
func (x indexes) mayHave(a indexName) bool {
	if _, ok := x[a]; ok || a.by != byLabel {
		return true
	}
	n := 0
	for other := range x {
		if other.by == byLabel {
			n++
		}
	}
	return n < maxLabelIndexes
}

// values are those of one object before and after a change.
type values struct{ old, now []string }

// valuesOf reads what the present indexes need for a change. Reading takes longer than noting, so
// it is done without the lock.
func (c *objectCache) valuesOf(old, now *object) map[indexName]values {
	c.mu.RLock()
	names := make([]indexName, 0, len(c.indexes))
	for a := range c.indexes {
		names = append(names, a)
	}
	c.mu.RUnlock()
	var all map[indexName]values
	for _, a := range names {
		if all == nil {
			all = make(map[indexName]values, len(names))
		}
		all[a] = valuesFor(a, old, now)
	}
	return all
}

func valuesFor(a indexName, old, now *object) values {
	var v values
	if old != nil {
		v.old = a.of(old)
	}
	if now != nil {
		v.now = a.of(now)
	}
	return v
}

// change puts one object in the place of another; either may be nil. An index that has been made
// since the values were read has the old object.
func (x indexes) change(old, now *object, read map[indexName]values) {
	if old == now {
		return
	}
	for a, i := range x {
		v, ok := read[a]
		if !ok {
			v = valuesFor(a, old, now)
		}
		i.remove(old, v.old)
		i.add(now, v.now)
	}
}

// withUID returns the objects that have this UID: one, or none.
func (c *objectCache) withUID(uid types.UID) []*object {
	return c.lookup(indexName{by: byUID}, []string{string(uid)})
}

// owned returns the objects with an owner reference to uid.
func (c *objectCache) owned(uid types.UID) []*object {
	return c.lookup(indexName{by: byOwner}, []string{string(uid)})
}

// appliedBy returns the objects that a field manager has applied, of several that are kept.
func appliedBy(c *objectCache, manager string) []*object {
	return c.lookup(indexName{by: byManager}, []string{manager})
}

// selected returns the objects that selector may select, of one namespace or all.
func (c *objectCache) selected(namespace string, selector labels.Selector) []*object {
	if a, values, ok := c.indexed(selector); ok {
		found := c.lookup(a, values)
		if namespace == "" {
			return found
		}
		return slices.DeleteFunc(found, func(o *object) bool { return o.Namespace != namespace })
	}
	if namespace == "" || c.namespace == namespace {
		return c.all()
	}
	return c.lookup(indexName{by: byNamespace}, []string{namespace})
}

// indexed returns a label that a selector wants to have one of some values. One that is indexed
// already is the best.
func (c *objectCache) indexed(selector labels.Selector) (a indexName, values []string, ok bool) {
	if selector == nil {
		return indexName{}, nil, false
	}
	requirements, _ := selector.Requirements()
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, r := range requirements {
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
		default:
			continue
		}
		another := indexName{by: byLabel, label: r.Key()}
		if _, made := c.indexes[another]; made || !ok && c.indexes.mayHave(another) {
			a, values, ok = another, r.ValuesUnsorted(), true
		}
	}
	return a, values, ok
}

// lookup returns the objects that have one of some values, by an index, which it makes if it is not
// there. The lock is not held while all objects are read; only what has changed meanwhile is read
// again.
func (c *objectCache) lookup(a indexName, values []string) []*object {
	c.mu.RLock()
	i, ok := c.indexes[a]
	found := i.find(values)
	c.mu.RUnlock()
	if ok {
		return found
	}
	objects := c.all()
	read := make(map[*object][]string, len(objects))
	for _, o := range objects {
		read[o] = a.of(o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, ok := c.indexes[a]; ok {
		return i.find(values)
	}
	made := index{}
	for _, o := range c.objects {
		of, ok := read[o]
		if !ok {
			of = a.of(o)
		}
		made.add(o, of)
	}
	if c.indexes.mayHave(a) {
		c.indexes[a] = made
	}
	return made.find(values)
}

// find returns each object once.
func (i index) find(values []string) []*object {
	var found []*object
	for n, value := range values {
		if slices.Contains(values[:n], value) {
			continue
		}
		h := i[value]
		if h.first == nil {
			continue
		}
		found = append(slices.Grow(found, 1+len(h.more)), h.first)
		for o := range h.more {
			found = append(found, o)
		}
	}
	return found
}
