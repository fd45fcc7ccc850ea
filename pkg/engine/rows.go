package engine

import (
	"cmp"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/statusz"
)

// rows is the beginning of a list of any length: what began first, and what has no time, in the
// order of the names.
type rows struct {
	most int
	list statusz.ObjectList
}

// add adds a row; it costs next to nothing for one that has no place.
func (r *rows) add(row statusz.ObjectRow) {
	r.list.Total++
	r.insert(row)
}

func (r *rows) insert(row statusz.ObjectRow) {
	items := r.list.Items
	if len(items) >= r.most && (r.most <= 0 || compareRows(row, items[len(items)-1]) >= 0) {
		return
	}
	at, _ := slices.BinarySearchFunc(items, row, compareRows)
	items = slices.Insert(items, at, row)
	r.list.Items = items[:min(len(items), r.most)]
}

func compareRows(a, b statusz.ObjectRow) int {
	return cmp.Or(
		a.Since.Compare(b.Since), strings.Compare(a.Definition, b.Definition), strings.Compare(a.Object.Namespace, b.Object.Namespace),
		strings.Compare(a.Object.Name, b.Object.Name), strings.Compare(a.Child, b.Child),
	)
}

// objectRows are the lists of statusz.Objects.
type objectRows struct{ notReady, failing, fights, held, refused rows }

func newObjectRows(most int) *objectRows {
	empty := rows{most: most}
	return &objectRows{empty, empty, empty, empty, empty}
}

func (r *objectRows) result() statusz.Objects {
	return statusz.Objects{
		NotReady: r.notReady.list, Failing: r.failing.list, Fights: r.fights.list, Held: r.held.list, Refused: r.refused.list,
	}
}

// MergeObjects joins the lists of several definitions. Each has so many items at most.
func MergeObjects(most int, all ...statusz.Objects) statusz.Objects {
	merged := newObjectRows(most)
	join := func(to *rows, from statusz.ObjectList) {
		to.list.Total += from.Total
		for _, row := range from.Items {
			to.insert(row)
		}
	}
	for _, objects := range all {
		join(&merged.notReady, objects.NotReady)
		join(&merged.failing, objects.Failing)
		join(&merged.fights, objects.Fights)
		join(&merged.held, objects.Held)
		join(&merged.refused, objects.Refused)
	}
	return merged.result()
}
