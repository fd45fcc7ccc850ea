package compose

import (
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// patchState is how an object compares with what should be contributed to it.
type patchState struct {
	changed bool    // something else is desired than was contributed
	lost    []drift // fields that are desired and are not ours
}

// current reports whether there is nothing to be done.
func (s patchState) current() bool { return !s.changed && len(s.lost) == 0 }

// compare compares what is desired with what our manager owns of an object, nil for nothing. What
// it owns has the value that it applied: whoever sets another one takes the field away.
func (d *DesiredPatch) compare(owned *fieldpath.Set, live func() (map[string]any, error)) (state patchState, err error) {
	// The API server does not note that an empty list is owned whose items have keys.
	leaves := slices.DeleteFunc(uncoveredLeaves(d.tree, owned), func(u uncovered) bool { return isEmpty(u.want) })
	state.lost = driftsIn(leaves)
	if owned == nil {
		return state, nil
	}
	if hasOthers(d.tree, owned) {
		state.changed = true
		return state, nil
	}
	tree, err := live()
	if err != nil {
		return state, err
	}
	state.changed = slices.ContainsFunc(coveredLeaves(d.tree, owned), func(u uncovered) bool { return !u.equalLive(tree) })
	return state, nil
}

// coveredLeaves are the leaves of a tree that set owns. What set owns as one value is one leaf, and
// equal to a live value only if that has nothing besides.
func coveredLeaves(tree map[string]any, set *fieldpath.Set) []uncovered {
	w := &leafWalk{covered: true}
	w.object(tree, set)
	return w.found
}

// hasOthers reports whether set has a field that a tree does not have.
func hasOthers(tree map[string]any, set *fieldpath.Set) (others bool) {
	set.Leaves().Iterate(func(path fieldpath.Path) { others = others || !hasPath(tree, path) })
	return others
}

// hasPath reports whether a tree has a field, or an item of a list.
func hasPath(tree any, path fieldpath.Path) bool {
	for _, element := range path {
		switch {
		case element.FieldName != nil:
			fields, _ := tree.(map[string]any)
			member, ok := fields[*element.FieldName]
			if !ok {
				return false
			}
			tree = member
		case element.Key != nil:
			items, _ := tree.([]any)
			i := slices.IndexFunc(items, func(item any) bool {
				fields, isObject := item.(map[string]any)
				return isObject && keyFits(*element.Key, fields)
			})
			if i < 0 {
				return false
			}
			tree = items[i]
		case element.Value != nil:
			items, _ := tree.([]any)
			return slices.ContainsFunc(items, func(item any) bool { return value.Equals(*element.Value, value.NewValueInterface(item)) })
		}
	}
	return true
}
