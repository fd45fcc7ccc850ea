package engine

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

// rows is the beginning of a list of any length: what began first, and what has no time, in the
// order of the names.
type rows struct {
	most int
	list statusz.ObjectList
}

// takes reports whether a row that began then may have a place.
func (r *rows) takes(since time.Time) bool {
	n := len(r.list.Items)
	return n < r.most || r.most > 0 && !since.After(r.list.Items[n-1].Since)
}

// insert adds a row, if it has a place.
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

// listPair is a list of one definition, and the same of all definitions.
type listPair struct{ mine, all *rows }

// count adds to how many objects there are of one kind of trouble.
func (p listPair) count(n int) {
	p.mine.list.Total += n
	p.all.list.Total += n
}

// most is how many objects may have a place in one of them.
func (p listPair) most() int { return max(p.mine.most, p.all.most) }

// takes reports whether a row that began then may have a place in one of them.
func (p listPair) takes(since time.Time) bool { return p.mine.takes(since) || p.all.takes(since) }

func (p listPair) insert(row statusz.ObjectRow) {
	p.mine.insert(row)
	p.all.insert(row)
}
