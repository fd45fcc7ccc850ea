package engine

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

// rows is the beginning of a list of any length: what was given up, and then what began first, and
// what has no time, in the order of the names.
type rows struct {
	most int
	list statusz.ObjectList
}

// takes reports whether a row that began then may have a place.
func (r *rows) takes(givenUp bool, since time.Time) bool {
	n := len(r.list.Items)
	if n < r.most || r.most <= 0 {
		return n < r.most
	}
	last := r.list.Items[n-1]
	return cmp.Or(compareGivenUp(givenUp, last.GivenUp), since.Compare(last.Since)) <= 0
}

// compareGivenUp orders what was given up before what was not.
func compareGivenUp(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
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
		compareGivenUp(a.GivenUp, b.GivenUp), a.Since.Compare(b.Since), strings.Compare(a.Definition, b.Definition), strings.Compare(a.Object.Namespace, b.Object.Namespace),
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
func (p listPair) takes(givenUp bool, since time.Time) bool {
	return p.mine.takes(givenUp, since) || p.all.takes(givenUp, since)
}

func (p listPair) insert(row statusz.ObjectRow) {
	p.mine.insert(row)
	p.all.insert(row)
}
