package engine

import (
	"context"
	"slices"
	"sync"
)

// slots are the calls that all definitions together may make at a time.
//
// A slot is not taken back from a call, so fairness is a matter of who gets the next one, and of what is kept for those who
// do not ask yet:
//
//  1. Of the definitions that wait, the one with the fewest slots is next, and of those with as few the one that has waited
//     longest. So nobody gets one more than another has that waits too, and a definition without a slot waits for at most
//     one grant to each of the others before its own. A worker that goes on with the next object gives its slot back and
//     asks for one in a single step, so a definition of many short calls does not lose to one of long calls in between.
//  2. A definition that has a slot gets a further one only if more are free than are kept for the definitions that have none:
//     one for each of those, or, if there are fewer slots than definitions, half of all slots at most.
//
// With as many slots as definitions, rule 2 keeps free ≥ idle, the number of definitions without a slot: it holds at first; a
// first slot lowers both by one; a further one is given only if free > idle; and what comes back raises free by one and idle
// by at most one. So a definition without a call under way finds a slot free at once, whatever the others do.
//
// With fewer, let reserve be half of the slots, rounded down. After the last further slot was given, to one of b ≥ 1 busy
// definitions, at least reserve were free, so all busy ones together had at most total - reserve - b beyond their first, and
// no more since then. When none is free, total - (total - reserve - b) ≥ reserve + 1 slots are the first ones of as many
// definitions. So a definition without a call waits only while more than half as many others are in calls as there are slots.
type slots struct {
	total       int
	definitions int // that may ever ask: also those that a standby does not work on, as it may lead at any moment

	mu     sync.Mutex
	free   int
	busy   int      // definitions that have a slot
	asked  uint64   // how often
	asking []*share // those that wait for one
}

// share is what one definition has of the slots. It may be used by several goroutines at a time. A nil share bounds nothing.
type share struct {
	slots *slots

	// These belong to slots.mu.
	held    int
	waiting []request // the longest waiting first
}

// request is an acquire that waits.
type request struct {
	number  uint64        // in the order of all requests
	granted chan struct{} // closed with the grant
}

// newSlots returns nil, which bounds nothing, when total is 0.
func newSlots(total, definitions int) *slots {
	if total <= 0 {
		return nil
	}
	return &slots{total: total, definitions: definitions, free: total}
}

// newShare is to be called once for each definition.
func (s *slots) newShare() *share {
	if s == nil {
		return nil
	}
	return &share{slots: s}
}

// acquire waits for a slot. It returns false when ctx ends before that.
func (d *share) acquire(ctx context.Context) bool {
	if d == nil {
		return true
	}
	d.slots.mu.Lock()
	return d.ask(ctx)
}

// renew gives a slot back and waits for another, which is the same one unless it is somebody else's turn.
func (d *share) renew(ctx context.Context) bool {
	d.slots.mu.Lock()
	d.put()
	return d.ask(ctx)
}

// release gives a slot back.
func (d *share) release() {
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
	d.put()
	d.slots.grant()
}

// ask needs the lock, and gives it up.
func (d *share) ask(ctx context.Context) bool {
	s := d.slots
	s.asked++
	r := request{number: s.asked, granted: make(chan struct{})}
	if d.waiting = append(d.waiting, r); len(d.waiting) == 1 {
		s.asking = append(s.asking, d)
	}
	s.grant()
	s.mu.Unlock()
	select {
	case <-r.granted:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(d.waiting, func(w request) bool { return w.number == r.number })
	if i >= 0 {
		d.answered(i)
		return false
	}
	d.put() // The grant came together with the end.
	s.grant()
	return false
}

// put takes a slot back. It needs the lock, as what follows does.
func (d *share) put() {
	d.slots.free++
	if d.held--; d.held == 0 {
		d.slots.busy--
	}
}

// grant gives slots to those who wait as far as the rules allow.
func (s *slots) grant() {
	for d := s.next(); d != nil; d = s.next() {
		s.free--
		if d.held++; d.held == 1 {
			s.busy++
		}
		close(d.waiting[0].granted)
		d.answered(0)
	}
}

// answered takes out a request.
func (d *share) answered(i int) {
	if d.waiting = slices.Delete(d.waiting, i, i+1); len(d.waiting) == 0 {
		d.slots.asking = slices.DeleteFunc(d.slots.asking, func(other *share) bool { return other == d })
	}
}

// next returns the definition that is to have a slot now, nil if there is none.
func (s *slots) next() *share {
	if s.free == 0 {
		return nil
	}
	var first *share
	for _, d := range s.asking {
		if first == nil || d.before(first) {
			first = d
		}
	}
	if first == nil || first.held > 0 && s.free <= s.kept() {
		return nil
	}
	return first
}

// before tells which of two definitions that wait is next.
func (d *share) before(other *share) bool {
	if d.held != other.held {
		return d.held < other.held
	}
	return d.waiting[0].number < other.waiting[0].number
}

// kept is how many slots are kept for definitions that have none.
func (s *slots) kept() int {
	idle := s.definitions - s.busy
	if s.total >= s.definitions {
		return idle
	}
	return min(idle, s.total/2)
}
