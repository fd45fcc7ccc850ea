package compose

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// uncovered is a leaf of what is desired that lies neither at nor below a field that is ours.
type uncovered struct {
	path fieldpath.Path
	// keys are the steps by which the live value is found: names, and list items.
	steps []step
	want  any
	lost  *lost
}

// lost is a map or list with a leaf in it, of which nothing is ours. It may be atomic: then it was
// ours as a whole, and what another party has put in besides is drift.
type lost struct {
	depth int // it is what the first steps lead to
	want  any
}

// step is one step into a tree.
type step struct {
	name string         // of a field
	key  map[string]any // of a list item, by its keys
	item any            // of a list item, by its value
	list bool
}

// String is the path as people write it.
func (u uncovered) String() string { return u.path.String() }

// ofMetadata reports whether the leaf is one of the metadata.
func (u uncovered) ofMetadata() bool { return len(u.steps) > 0 && u.steps[0].name == "metadata" }

// uncoveredLeaves returns the leaves of tree that set does not own, sorted. A list is associative
// where set says so; one of which set has nothing is one leaf. A nil set owns nothing.
//
// apiVersion, kind, and what names the object are no leaves, and owner references are not looked
// at: the caller compares those. A status of which set has nothing is none either: of most kinds,
// the API server takes it from nobody who writes the object.
func uncoveredLeaves(tree map[string]any, set *fieldpath.Set) []uncovered {
	w := &leafWalk{wiped: set == nil}
	if set == nil {
		set = fieldpath.NewSet()
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		element := fieldpath.PathElement{FieldName: &name}
		switch {
		case name == "apiVersion", name == "kind":
		case name == "status" && !set.Members.Has(element) && child(set, element).Empty():
		case name == "metadata":
			w.metadata(tree[name], child(set, element))
		default:
			w.field(nil, nil, name, tree[name], set)
		}
	}
	return w.found
}

type leafWalk struct {
	found []uncovered
	wiped bool  // there is no entry of ours
	lost  *lost // where the walk is
}

func (w *leafWalk) metadata(metadata any, set *fieldpath.Set) {
	fields, _ := metadata.(map[string]any)
	name := "metadata"
	path, steps := fieldpath.Path{{FieldName: &name}}, []step{{name: name}}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case "name", "namespace", "ownerReferences":
		default:
			w.field(path, steps, name, fields[name], set)
		}
	}
}

// child returns what set has below an element; it may be empty.
func child(set *fieldpath.Set, element fieldpath.PathElement) *fieldpath.Set {
	if below, ok := set.Children.Get(element); ok {
		return below
	}
	return fieldpath.NewSet()
}

// field looks at a member of an object. set is what is owned of the object.
func (w *leafWalk) field(path fieldpath.Path, steps []step, name string, v any, set *fieldpath.Set) {
	element := fieldpath.PathElement{FieldName: &name}
	w.value(append(slices.Clip(path), element), append(slices.Clip(steps), step{name: name}), v, set, element, true)
}

// value looks at what is at an element of set. whole says that an element without anything below
// it stands for everything there.
func (w *leafWalk) value(path fieldpath.Path, steps []step, v any, set *fieldpath.Set, element fieldpath.PathElement, whole bool) {
	owned := set.Members.Has(element)
	below, divided := set.Children.Get(element)
	if owned && !divided && whole {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			w.leaf(owned || divided, path, steps, v)
			return
		}
		if !divided {
			below = fieldpath.NewSet()
			defer w.lose(steps, v)()
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			w.field(path, steps, name, v[name], below)
		}
	case []any:
		if len(v) == 0 || !divided {
			defer w.lose(steps, v)()
			w.leaf(owned || divided, path, steps, v)
			return
		}
		for _, item := range v {
			w.item(path, steps, item, below)
		}
	default:
		w.leaf(owned, path, steps, v)
	}
}

// lose notes that nothing at or below some steps is ours, until the returned function is called.
// Labels and annotations are shared with others, and without an entry of ours nothing is known.
func (w *leafWalk) lose(steps []step, v any) (found func()) {
	if w.lost != nil || w.wiped || steps[0].name == "metadata" {
		return func() {}
	}
	w.lost = &lost{depth: len(steps), want: v}
	return func() { w.lost = nil }
}

// item looks at an item of an associative list.
func (w *leafWalk) item(path fieldpath.Path, steps []step, item any, set *fieldpath.Set) {
	fields, isObject := item.(map[string]any)
	if !isObject {
		v := value.NewValueInterface(item)
		element := fieldpath.PathElement{Value: &v}
		w.leaf(set.Members.Has(element), append(slices.Clip(path), element), append(slices.Clip(steps), step{item: item, list: true}), item)
		return
	}
	element, key, ok := findItem(fields, set)
	steps = append(slices.Clip(steps), step{key: key, item: item, list: true})
	if !ok {
		w.leaf(false, path, steps, item)
		return
	}
	w.value(append(slices.Clip(path), element), steps, item, set, element, false)
}

// findItem returns the key of an item of an associative list, as set has it: with the defaults of
// keys that the item leaves out. Without one that fits, or with several, the item is not ours.
func findItem(item map[string]any, set *fieldpath.Set) (found fieldpath.PathElement, key map[string]any, ok bool) {
	ambiguous := false
	fits := func(element fieldpath.PathElement) {
		switch {
		case element.Key == nil || !keyFits(*element.Key, item):
		case ok:
			ambiguous = ambiguous || !found.Equals(element)
		default:
			found, ok = element, true
		}
	}
	set.Members.Iterate(fits)
	set.Children.Iterate(func(element fieldpath.PathElement) { fits(element) })
	if !ok || ambiguous {
		return found, nil, false
	}
	key = map[string]any{}
	for _, field := range *found.Key {
		key[field.Name] = field.Value.Unstructured()
	}
	return found, key, true
}

func keyFits(key value.FieldList, item map[string]any) bool {
	some := false
	for _, field := range key {
		v, has := item[field.Name]
		if !has {
			continue // It may be a default.
		}
		if !value.Equals(field.Value, value.NewValueInterface(v)) {
			return false
		}
		some = true
	}
	return some
}

func (w *leafWalk) leaf(covered bool, path fieldpath.Path, steps []step, want any) {
	if !covered {
		w.found = append(w.found, uncovered{path: path, steps: steps, want: want, lost: w.lost})
	}
}

// equalLive reports whether the leaf is on the live object as it should be.
func (u uncovered) equalLive(live map[string]any) bool {
	at, ok := find(live, u.steps)
	if !ok || !equalValues(u.want, at, u.quantities()) {
		return false
	}
	if u.lost == nil {
		return true
	}
	around, _ := find(live, u.steps[:u.lost.depth])
	return !hasMore(u.lost.want, around)
}

// find follows steps into a live object. A field that is missing is nil, and so is all below it. It
// returns false where a list item is missing, or something else than an object is.
func find(live any, steps []step) (at any, ok bool) {
	for _, s := range steps {
		if s.list {
			items, _ := live.([]any)
			next := slices.IndexFunc(items, s.selects)
			if next < 0 {
				return nil, false
			}
			live = items[next]
			continue
		}
		fields, isObject := live.(map[string]any)
		if !isObject && live != nil {
			return nil, false
		}
		live = fields[s.name]
	}
	return live, true
}

// quantities reports whether a text may be a quantity there: labels, annotations and the data of a
// ConfigMap or Secret are texts.
func (u uncovered) quantities() bool {
	switch u.steps[0].name {
	case "metadata", "data", "stringData", "binaryData":
		return false
	default:
		return true
	}
}

// selects reports whether an item of a live list is the one of the step.
func (s step) selects(item any) bool {
	fields, isObject := item.(map[string]any)
	if !isObject || s.key == nil {
		return equalValues(s.item, item, true)
	}
	for name, v := range s.key {
		if !equalValues(v, fields[name], false) {
			return false
		}
	}
	return true
}

// describe names the leaves for a person: the first one, and how many more there are.
func describe(leaves []uncovered) string {
	if len(leaves) == 0 {
		return ""
	}
	text := leaves[0].String()
	if n := len(leaves) - 1; n > 0 {
		text = fmt.Sprintf("%s and %s more", text, strconv.Itoa(n))
	}
	return text
}
