package compose

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/kube"
)

// namedUnready is how many parents that are not ready are named.
const namedUnready = 3

// rolled is a parent in a rollout.
type rolled struct {
	key     kube.Key
	ready   bool      // as it was seen last
	since   time.Time // when it was first seen not to be
	current bool      // it has what this revision desires
	moving  bool      // it is on its way to that
	// settling is true of one that has got what was desired, and was not ready since: where the
	// composer wants more of it by and by, it is still on its way.
	settling bool
	wished   bool   // its own specification was changed
	desired  string // hash of what was desired when it had that last, and nothing was changed since
	// generation is that of the parent when it was seen last.
	generation int64
	number     uint64 // of the parent, as it came
	place      uint64 // in the queue of those that are held; 0 for none
	called     bool   // it is held, and a pass was asked for
	seen       bool   // a pass of this revision has asked or said something
}

// rolledParents are the parents in a rollout, with what is counted of them.
type rolledParents struct {
	byUID   map[types.UID]*rolled
	unseen  map[kube.Key]struct{} // those of which nothing is known; nil before they are looked for
	unsaid  int                   // those in byUID that are not seen: what is known of them is old
	down    map[*rolled]struct{}  // those that are not ready, or are being changed
	moved   int                   // those in down that have what is desired, or are on their way
	current int                   // those that have what is desired and are ready
	late    []*rolled             // those that have what is desired and are not ready, by since
	queue   [2][]*rolled          // those that are held, by place; the first ones are not ready
	last    uint64                // place in the queue
	added   uint64                // how many have come
}

// add adds a parent of which nothing is known.
func (p *rolledParents) add(uid types.UID, key kube.Key, generation int64) *rolled {
	if p.byUID == nil {
		p.byUID, p.down = map[types.UID]*rolled{}, map[*rolled]struct{}{}
	}
	p.added++
	e := &rolled{key: key, ready: true, generation: generation, seen: true, number: p.added}
	p.byUID[uid] = e
	return e
}

// see notes that a pass of this revision has asked or said something of a parent; e may be nil.
func (p *rolledParents) see(key kube.Key, e *rolled) {
	delete(p.unseen, key)
	if e != nil && !e.seen {
		e.seen = true
		p.unsaid--
	}
}

// number is how many parents there are.
func (p *rolledParents) number() int {
	if p.unseen == nil {
		return len(p.byUID)
	}
	return len(p.byUID) - p.unsaid + len(p.unseen)
}

// look notes the parents of which no pass of this revision has said anything, of all that take part
// but those that have gone since. How the others were seen last is not enough: they may be what a
// rollout has to stop for.
func (p *rolledParents) look(exist []kube.Key, gone map[kube.Key]struct{}) {
	known := make(map[kube.Key]bool, len(p.byUID))
	for _, e := range p.byUID {
		known[e.key] = e.seen
	}
	p.unseen = map[kube.Key]struct{}{}
	for _, key := range exist {
		if _, went := gone[key]; !went && !known[key] {
			p.unseen[key] = struct{}{}
		}
	}
}

// allSeen reports whether something is known of every parent.
func (p *rolledParents) allSeen() bool { return p.unseen != nil && len(p.unseen) == 0 }

// change changes a parent, and what is counted with it.
func (p *rolledParents) change(e *rolled, by func()) {
	p.count(e, -1)
	place := e.place
	p.release(e)
	by()
	if e.ready {
		e.since = time.Time{}
	}
	p.count(e, 1)
	if place > 0 && !e.moving && !e.current {
		p.insert(e, place)
	}
}

// count adds a parent to what is counted, or takes it out.
func (p *rolledParents) count(e *rolled, n int) {
	switch down := !e.ready || e.moving; {
	case down && n > 0:
		p.down[e] = struct{}{}
	case down:
		delete(p.down, e)
	case e.current:
		p.current += n
	}
	if (!e.ready || e.moving) && (e.moving || e.current) {
		p.moved += n
	}
	if e.current && !e.moving && !e.ready {
		i, found := slices.BinarySearchFunc(p.late, e, func(a, b *rolled) int {
			return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.number, b.number))
		})
		if n > 0 {
			p.late = slices.Insert(p.late, i, e)
		} else if found {
			p.late = slices.Delete(p.late, i, i+1)
		}
	}
}

// hold puts a parent into the queue. One that is in it keeps its place.
func (p *rolledParents) hold(e *rolled) {
	if e.called = false; e.place == 0 {
		p.last++
		p.insert(e, p.last)
	}
}

func queueOf(e *rolled) int {
	if e.ready {
		return 1
	}
	return 0
}

func findPlace(queue []*rolled, place uint64) (int, bool) {
	return slices.BinarySearchFunc(queue, place, func(e *rolled, place uint64) int { return cmp.Compare(e.place, place) })
}

func (p *rolledParents) insert(e *rolled, place uint64) {
	queue := &p.queue[queueOf(e)]
	i, _ := findPlace(*queue, place)
	e.place, *queue = place, slices.Insert(*queue, i, e)
}

// release takes a parent out of the queue, if it is in it.
func (p *rolledParents) release(e *rolled) {
	if e.place == 0 {
		return
	}
	queue := &p.queue[queueOf(e)]
	if i, found := findPlace(*queue, e.place); found {
		*queue = slices.Delete(*queue, i, i+1)
	}
	e.place = 0
}

// remove drops a parent that is none any more.
func (p *rolledParents) remove(uid types.UID) {
	if e := p.byUID[uid]; e != nil {
		p.release(e)
		p.count(e, -1)
		if !e.seen {
			p.unsaid--
		}
		delete(p.byUID, uid)
	}
}

// held is how many are held.
func (p *rolledParents) held() int { return len(p.queue[0]) + len(p.queue[1]) }

// overdue counts those that have what is desired and are not ready for longer than so long. next is
// after how long there may be one more; 0 for never.
func (p *rolledParents) overdue(now time.Time, longerThan time.Duration) (n int, next time.Duration) {
	n, _ = slices.BinarySearchFunc(p.late, now, func(e *rolled, now time.Time) int {
		if e.since.Add(longerThan).After(now) {
			return 1
		}
		return -1
	})
	if n < len(p.late) {
		next = p.late[n].since.Add(longerThan).Sub(now)
	}
	return n, next
}

// nameDown names some of the parents that are not ready, or are being changed.
func (p *rolledParents) nameDown() string {
	names := make([]string, 0, namedUnready+2)
	for e := range p.down { // There may be thousands: only the first ones are kept.
		name := Parent{Namespace: e.key.Namespace, Name: e.key.Name}.text()
		if i, _ := slices.BinarySearch(names, name); i < namedUnready {
			names = slices.Insert(names, i, name)
			names = names[:min(len(names), namedUnready)]
		}
	}
	if len(p.down) > namedUnready {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}
