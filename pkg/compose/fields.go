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
	// steps are those by which the live value is found.
	steps []step
	want  any
	lost  *lost
	// maybeOurs is true of an item of a list that may be one of several of ours.
	maybeOurs bool
}

// lost is a map or list with a leaf in it, of which nothing is ours. It may be atomic: then it was
// ours as a whole, and what another party has put in besides is drift.
type lost struct {
	depth int // it is what the first steps lead to
	want  any
}

// step is one step into a tree.
type step struct {
	name string // of a field
	list bool   // it is into a list item
	key  *value.FieldList
	item any // the item as it is wanted
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
	w.object(tree, set)
	return w.found
}

// leafWalk is a walk through a tree.
type leafWalk struct {
	found   []uncovered
	path    fieldpath.Path // where the walk is
	steps   []step         // the same
	wiped   bool           // there is no entry of ours
	lost    *lost          // what of the path is lost
	covered bool           // it is for the leaves that are ours, in place of the others
}

// object looks at a whole object.
func (w *leafWalk) object(tree map[string]any, set *fieldpath.Set) {
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		element := fieldpath.PathElement{FieldName: &name}
		switch {
		case name == "apiVersion", name == "kind":
		case name == "status" && !set.Members.Has(element) && child(set, element).Empty():
		case name == "metadata":
			w.metadata(tree[name], child(set, element))
		default:
			w.field(name, tree[name], set)
		}
	}
}

func (w *leafWalk) enter(element fieldpath.PathElement, s step) {
	w.path, w.steps = append(w.path, element), append(w.steps, s)
}

func (w *leafWalk) leave() {
	w.path, w.steps = w.path[:len(w.path)-1], w.steps[:len(w.steps)-1]
}

func (w *leafWalk) metadata(metadata any, set *fieldpath.Set) {
	fields, _ := metadata.(map[string]any)
	name := "metadata"
	w.enter(fieldpath.PathElement{FieldName: &name}, step{name: name})
	defer w.leave()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case "name", "namespace", "ownerReferences":
		default:
			w.field(name, fields[name], set)
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
func (w *leafWalk) field(name string, v any, set *fieldpath.Set) {
	element := fieldpath.PathElement{FieldName: &name}
	w.enter(element, step{name: name})
	defer w.leave()
	w.value(v, set, element, true)
}

// value looks at what is at an element of set. whole says that an element without anything below
// it stands for everything there.
func (w *leafWalk) value(v any, set *fieldpath.Set, element fieldpath.PathElement, whole bool) {
	owned := set.Members.Has(element)
	below, divided := set.Children.Get(element)
	if owned && !divided && whole {
		if w.covered {
			defer w.lose(v)()
			w.leaf(true, v)
		}
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			w.leaf(owned || divided, v)
			return
		}
		if !divided {
			below = fieldpath.NewSet()
			defer w.lose(v)()
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			w.field(name, v[name], below)
		}
	case []any:
		if len(v) == 0 || !divided {
			defer w.lose(v)()
			w.leaf(owned || divided, v)
			return
		}
		for _, item := range v {
			w.item(item, below)
		}
	default:
		w.leaf(owned, v)
	}
}

// lose notes, until the returned function is called, that nothing here or below is ours. Labels and
// annotations are shared with others, and without an entry of ours nothing is known.
func (w *leafWalk) lose(v any) (found func()) {
	if w.lost != nil || w.wiped || w.steps[0].name == "metadata" {
		return func() {}
	}
	w.lost = &lost{depth: len(w.steps), want: v}
	return func() { w.lost = nil }
}

// item looks at an item of an associative list.
func (w *leafWalk) item(item any, set *fieldpath.Set) {
	fields, isObject := item.(map[string]any)
	if !isObject {
		v := value.NewValueInterface(item)
		element := fieldpath.PathElement{Value: &v}
		w.enter(element, step{list: true, item: item})
		defer w.leave()
		w.leaf(set.Members.Has(element), item)
		return
	}
	element, fits := findItem(fields, set)
	if fits != 1 { // The leaf is named by its list.
		w.steps = append(w.steps, step{list: true, item: item})
		w.leaf(false, item)
		if !w.covered {
			w.found[len(w.found)-1].maybeOurs = fits > 1
		}
		w.steps = w.steps[:len(w.steps)-1]
		return
	}
	w.enter(element, step{list: true, key: element.Key, item: item})
	defer w.leave()
	w.value(item, set, element, false)
}

// findItem returns the key of an item of an associative list, as set has it: with the defaults of
// keys that the item leaves out. It is that of the item if exactly one fits. Without one, the item
// is not ours; with several, it is not known which it is.
func findItem(item map[string]any, set *fieldpath.Set) (found fieldpath.PathElement, fits int) {
	look := func(element fieldpath.PathElement) {
		switch {
		case element.Key == nil || !keyFits(*element.Key, item):
		case fits == 0:
			found, fits = element, 1
		case !found.Equals(element):
			fits++
		}
	}
	set.Members.Iterate(look)
	set.Children.Iterate(func(element fieldpath.PathElement) { look(element) })
	return found, fits
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

func (w *leafWalk) leaf(covered bool, want any) {
	if covered == w.covered {
		w.found = append(w.found, uncovered{path: slices.Clone(w.path), steps: slices.Clone(w.steps), want: want, lost: w.lost})
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
	return !slices.ContainsFunc(*s.key, func(field value.Field) bool {
		return !equalValues(field.Value.Unstructured(), fields[field.Name], false)
	})
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
