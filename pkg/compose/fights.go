package compose

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

const (
	// freeReverts is how often a field is set back at once. Each further time takes twice as long
	// as the one before, from firstDamping to lastDamping.
	freeReverts  = 5
	firstDamping = time.Second
	lastDamping  = 5 * time.Minute
	// calmTime is after how long without a revert those are forgotten that were made at once, and
	// the least time after which a fight is over.
	calmTime  = 10 * time.Minute
	leastCalm = 30 * time.Second
	// maxPaths is how many fields of one child are looked at one by one.
	maxPaths = 16
	// maxManagers is how many field managers the metric names.
	maxManagers  = 20
	otherManager = "other"
)

// drift is a field that another party has changed.
type drift struct {
	text string // as people write it; empty for the whole object, which was deleted
	path fieldpath.Path
}

// reverts are those of one field of a child, in a row.
type reverts struct {
	drift
	n    int
	last time.Time
}

// delay is how long after the last revert the next one may be.
func (r *reverts) delay() time.Duration {
	if r.n < freeReverts {
		return 0
	}
	return min(firstDamping<<min(r.n-freeReverts, 10), lastDamping)
}

// until is when the next revert may be.
func (r *reverts) until() time.Time { return r.last.Add(r.delay()) }

// isDamped reports whether this is a fight.
func (r *reverts) isDamped() bool { return r.n >= freeReverts }

// calm is when the reverts are forgotten.
func (r *reverts) calm() time.Time {
	if !r.isDamped() {
		return r.last.Add(calmTime)
	}
	return r.last.Add(max(2*r.delay(), leastCalm))
}

// fight is what is remembered of one child that another party changes.
type fight struct {
	hash     string // of what is desired
	fields   []*reverts
	vanished bool   // somebody else has deleted the child
	manager  string // who sets the first damped field; empty if that is not known
	counted  string // the manager that the metric counts it for
	damped   bool   // it is counted
	asked    time.Time
}

// first is the first field that is fought about; nil if there is none.
func (f *fight) first() *reverts {
	if i := slices.IndexFunc(f.fields, (*reverts).isDamped); i >= 0 {
		return f.fields[i]
	}
	return nil
}

// message says what the fight is about.
func (f *fight) message(id ChildID) string {
	r := f.first()
	if r == nil {
		return ""
	}
	const what = "is set back less and less often, at most every 5 minutes in the end"
	switch {
	case r.text == "":
		return fmt.Sprintf("%s is deleted again and again by another party. It is made anew less and less often, at most every 5 minutes in the end", id)
	case f.manager == "":
		return fmt.Sprintf("%s of %s does not stay as it is desired: another party removes it again and again, or an admission webhook does. It %s",
			r.text, id, what)
	default:
		return fmt.Sprintf("field manager %q sets %s of %s again and again. It %s: let one of both leave the field alone", f.manager, r.text, id, what)
	}
}

// fights are the children of one definition that another party changes again and again. They are
// safe for concurrent use.
type fights struct {
	mu       sync.Mutex
	parents  map[types.UID]map[ChildID]*fight
	managers map[string]int
	swept    time.Time
	show     func(manager string, n int) // in the metric; nil for nothing
}

func newFights() *fights {
	return &fights{parents: map[types.UID]map[ChildID]*fight{}, managers: map[string]int{}}
}

// showBy makes the fights be shown, also those that there are.
func (f *fights) showBy(show func(manager string, n int)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.show = show
	for manager, n := range f.managers {
		show(manager, n)
	}
}

// of returns what is remembered of a child. f.mu is held.
func (f *fights) of(parent types.UID, id ChildID) *fight {
	if f.parents[parent] == nil {
		f.parents[parent] = map[ChildID]*fight{}
	}
	one := f.parents[parent][id]
	if one == nil {
		one = &fight{}
		f.parents[parent][id] = one
	}
	return one
}

// vanish notes that somebody else has deleted a child.
func (f *fights) vanish(parent types.UID, id ChildID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of(parent, id).vanished = true
}

// made notes that a child was created. It returns whether it was there before.
func (f *fights) made(parent types.UID, id ChildID) (before bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.parents[parent][id]
	if one == nil || !one.vanished {
		return false
	}
	one.vanished = false
	return true
}

// revert counts that fields of a child were set back.
func (f *fights) revert(parent types.UID, id ChildID, hash string, fields []drift, now time.Time) {
	if len(fields) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweep(now)
	one := f.of(parent, id)
	one.hash = hash
	if len(fields) > maxPaths {
		fields = fields[:maxPaths]
	}
	for _, field := range fields {
		i := slices.IndexFunc(one.fields, func(r *reverts) bool { return r.text == field.text })
		if i < 0 && len(one.fields) == maxPaths { // The last one stands for all others.
			i = maxPaths - 1
		} else if i < 0 {
			i = len(one.fields)
			one.fields = append(one.fields, &reverts{drift: field})
		}
		if !now.Before(one.fields[i].calm()) {
			one.fields[i].n = 0
		}
		one.fields[i].n++
		one.fields[i].last = now
	}
}

// sweep forgets what is long calm, of parents that have no pass too. f.mu is held.
func (f *fights) sweep(now time.Time) {
	if now.Sub(f.swept) < calmTime {
		return
	}
	f.swept = now
	for parent, children := range f.parents {
		for id, one := range children {
			if !one.vanished && !slices.ContainsFunc(one.fields, func(r *reverts) bool { return now.Before(r.calm().Add(calmTime)) }) {
				f.drop(parent, id)
			}
		}
	}
}

// drop forgets a child. f.mu is held.
func (f *fights) drop(parent types.UID, id ChildID) {
	f.count(f.parents[parent][id], false)
	delete(f.parents[parent], id)
	if len(f.parents[parent]) == 0 {
		delete(f.parents, parent)
	}
}

// count keeps the metric. f.mu is held.
func (f *fights) count(one *fight, damped bool) {
	manager := one.manager
	if definition, _, ok := ParsePatchManager(manager); ok {
		manager = FieldManager + "/" + definition // There is one for each parent.
	}
	if f.managers[manager] == 0 && len(f.managers) >= maxManagers && manager != "" {
		manager = otherManager
	}
	if one.damped == damped && (!damped || one.counted == manager) {
		return
	}
	if one.damped {
		f.add(one.counted, -1)
	}
	if one.damped, one.counted = damped, manager; damped {
		f.add(manager, 1)
	}
}

func (f *fights) add(manager string, by int) {
	if f.managers[manager] += by; f.managers[manager] == 0 {
		delete(f.managers, manager)
	}
	if f.show != nil {
		f.show(manager, f.managers[manager])
	}
}

// forget drops a parent.
func (f *fights) forget(parent types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.parents[parent] {
		f.drop(parent, id)
	}
}

// clear forgets everything.
func (f *fights) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for parent, children := range f.parents {
		for id := range children {
			f.drop(parent, id)
		}
	}
}

// damped returns which fields are not to be set back yet. What is desired now and was not when the
// fight began is no matter of it.
func (f *fights) damped(parent types.UID, desired []*Desired, now time.Time) map[ChildID]Damped {
	f.mu.Lock()
	defer f.mu.Unlock()
	children := f.parents[parent]
	if len(children) == 0 {
		return nil
	}
	f.forgetVanished(parent, desired)
	found := map[ChildID]Damped{}
	for _, d := range desired {
		one := children[d.ID]
		if one == nil || len(one.fields) == 0 {
			continue
		}
		if one.hash != d.hash {
			f.drop(parent, d.ID)
			continue
		}
		damped := Damped{Message: one.message(d.ID)}
		for i, r := range one.fields {
			if now.Before(r.until()) {
				damped.Paths = append(damped.Paths, r.text)
				damped.Others = damped.Others || i == maxPaths-1
			}
		}
		if len(damped.Paths) > 0 {
			found[d.ID] = damped
		}
	}
	return found
}

// asks returns the fields whose managers are to be looked for: of children that have to wait, once
// after each revert.
func (f *fights) asks(parent types.UID, ops []Op, now time.Time) (asks map[ChildID]fieldpath.Path) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, op := range ops {
		one := f.parents[parent][op.ID]
		if op.Reason != ReasonFight || one == nil {
			continue
		}
		if r := one.first(); r != nil && r.text != "" && one.asked.Before(r.last) {
			if asks == nil {
				asks = map[ChildID]fieldpath.Path{}
			}
			asks[op.ID], one.asked = r.path, now
		}
	}
	return asks
}

// name notes who sets a field. If that is not known, an earlier one stays.
func (f *fights) name(parent types.UID, id ChildID, manager string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.parents[parent][id]; one != nil && manager != "" {
		one.manager = manager
	}
}

// fighting is a child that is fought about.
type fighting struct {
	id      ChildID
	message string
}

// look returns the fights of a parent, and after how long it is to be looked at again; 0 for never.
// Those that are over are forgotten.
func (f *fights) look(parent types.UID, ops []Op, now time.Time) (all []fighting, again time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	waits := map[ChildID]bool{}
	for _, op := range ops {
		waits[op.ID] = waits[op.ID] || op.Reason == ReasonFight
	}
	for id, one := range f.parents[parent] {
		if !waits[id] {
			one.fields = slices.DeleteFunc(one.fields, func(r *reverts) bool { return !now.Before(r.calm()) })
		}
		if len(one.fields) == 0 && !one.vanished {
			f.drop(parent, id)
			continue
		}
		first := one.first()
		known := first != nil && (first.text == "" || !one.asked.IsZero()) // It is said when is known who it is.
		f.count(one, known)
		if wait := one.next(now, waits[id]); wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
		if message := one.message(id); known {
			all = append(all, fighting{id: id, message: message})
		}
	}
	slices.SortFunc(all, func(a, b fighting) int { return compareIDs(a.id, b.id) })
	return all, again
}

// vanished are the children that somebody else has deleted: they are not there, and were as far as
// is remembered.
func vanished(done []ChildID, remembered map[ChildID]recalled, observed map[ChildID]observedChild) (ids []ChildID) {
	for _, id := range done {
		c := remembered[id]
		if _, there := observed[id]; !there && !c.gone && !c.going && c.uid != "" {
			ids = append(ids, id)
		}
	}
	return ids
}
