package queue

import "time"

// lines holds the keys that can be handed out: for each priority one line, first come first served. It is not safe for
// concurrent use.
type lines[K comparable] struct {
	ageing time.Duration
	line   [classes]struct{ head, tail *entry[K] }
	len    int
	turn   uint64
	served [classes]uint64 // the turn in which each line was served last
}

func (l *lines[K]) push(e *entry[K], p Priority, now time.Duration) {
	line := &l.line[p]
	e.line, e.since = p, now
	e.prev, e.next = line.tail, nil
	if line.tail == nil {
		line.head = e
	} else {
		line.tail.next = e
	}
	line.tail = e
	l.len++
}

func (l *lines[K]) remove(e *entry[K]) {
	line := &l.line[e.line]
	if e.prev == nil {
		line.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		line.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
	l.len--
}

// raise moves e to the line of a more urgent add, unless it has aged beyond that: an add never sets a key back.
func (l *lines[K]) raise(e *entry[K], p Priority, now time.Duration) {
	if e.line.aged(now-e.since, l.ageing) < p {
		return
	}
	l.remove(e)
	l.push(e, p, now)
}

// pop takes the key to hand out next, nil if there is none: the head of the line whose head counts as the most urgent.
// Within a line the head has aged most. Lines whose heads count the same take turns, whatever their length: once the
// first of many old keys has aged, they get a share of the calls, and fresh changes still get theirs.
func (l *lines[K]) pop(now time.Duration) *entry[K] {
	if l.len == 0 {
		return nil
	}
	best, urgency := Initial, Initial+1
	for p := Change; p <= Initial; p++ {
		head := l.line[p].head
		if head == nil {
			continue
		}
		counts := p
		if p != Change {
			counts = p.aged(now-head.since, l.ageing)
		}
		if counts < urgency || counts == urgency && l.served[p] < l.served[best] {
			best, urgency = p, counts
		}
	}
	l.turn++
	l.served[best] = l.turn
	e := l.line[best].head
	l.remove(e)
	return e
}

// clear takes out all keys and tells whether there were any.
func (l *lines[K]) clear() bool {
	cleared := l.len > 0
	clear(l.line[:])
	l.len = 0
	return cleared
}

// oldest returns when the longest waiting of the heads of the lines became due, and false if no key is ready.
func (l *lines[K]) oldest() (time.Duration, bool) {
	oldest, found := time.Duration(0), false
	for p := range l.line {
		head := l.line[p].head
		if head != nil && (!found || head.added < oldest) {
			oldest, found = head.added, true
		}
	}
	return oldest, found
}
