package queue

import "time"

// readyQueue holds the entries that can be handed out: for each priority one list, first come first
// served. It is not safe for concurrent use.
type readyQueue[K comparable] struct {
	ageing time.Duration
	lists  [priorities]readyList[K]
	len    int
	turn   uint64
	served [priorities]uint64 // the turn in which each list was served last
}

// readyList are the entries of one priority, linked.
type readyList[K comparable] struct {
	head, tail *entry[K]
	len        int
}

// push adds e to the list of a priority; since is when its ageing began.
func (r *readyQueue[K]) push(e *entry[K], p Priority, since time.Duration) {
	list := &r.lists[p]
	e.level, e.since = p, since
	e.prev, e.next = list.tail, nil
	if list.tail == nil {
		list.head = e
	} else {
		list.tail.next = e
	}
	list.tail = e
	list.len++
	r.len++
}

func (r *readyQueue[K]) remove(e *entry[K]) {
	list := &r.lists[e.level]
	if e.prev == nil {
		list.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		list.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
	list.len--
	r.len--
}

// raise moves e to the list of a more urgent add, unless it has aged beyond that: an add never sets
// a key back.
func (r *readyQueue[K]) raise(e *entry[K], p Priority, now time.Duration) {
	if e.level.aged(now-e.since, r.ageing) < p {
		return
	}
	r.remove(e)
	r.push(e, p, now)
}

// pop takes out the entry to hand out next, nil if there is none: the head, which has aged most, of
// the list whose head counts as the most urgent. Lists whose heads count the same take turns,
// whatever their length: a backlog of aged keys gets a share of the calls, and fresh changes still
// get theirs.
func (r *readyQueue[K]) pop(now time.Duration) *entry[K] {
	if r.len == 0 {
		return nil
	}
	best, urgency := Initial, Initial+1
	for p := Change; p <= Initial; p++ {
		head := r.lists[p].head
		if head == nil {
			continue
		}
		counts := p
		if p != Change {
			counts = p.aged(now-head.since, r.ageing)
		}
		if counts < urgency || counts == urgency && r.served[p] < r.served[best] {
			best, urgency = p, counts
		}
	}
	r.turn++
	r.served[best] = r.turn
	e := r.lists[best].head
	r.remove(e)
	return e
}

// clear takes out all entries and reports whether there were any.
func (r *readyQueue[K]) clear() bool {
	cleared := r.len > 0
	clear(r.lists[:])
	r.len = 0
	return cleared
}
