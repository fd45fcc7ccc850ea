package queue

import "time"

// backlogAhead is how many keys of the backlog are ready at most, ahead of their calls.
const backlogAhead = 64

// backlog are keys that were added together and get their entries only shortly before their turn.
// At the start of a term every object of a definition is to be handled: with an entry for each,
// that would take more memory than anything that follows. It is not safe for concurrent use.
type backlog[K comparable] struct {
	keys  []K           // those without an entry, the next one first
	added time.Duration // when they were added
	early map[K]struct{}
}

func (b *backlog[K]) start(keys []K, now time.Duration) {
	*b = backlog[K]{keys: keys, added: now}
}

// skip notes that a key gets a call for another reason.
func (b *backlog[K]) skip(key K) {
	if len(b.keys) == 0 {
		return
	}
	if b.early == nil {
		b.early = map[K]struct{}{}
	}
	b.early[key] = struct{}{}
}

// next takes out the next key that has not got a call.
func (b *backlog[K]) next() (key K, ok bool) {
	for len(b.keys) > 0 && !ok {
		key = b.keys[0]
		b.keys = b.keys[1:]
		_, early := b.early[key]
		ok = !early
	}
	if len(b.keys) == 0 {
		b.clear()
	}
	return key, ok
}

// clear drops all keys and reports whether there were any.
func (b *backlog[K]) clear() bool {
	cleared := len(b.keys) > 0
	*b = backlog[K]{}
	return cleared
}

// fill makes keys of the backlog ready, so that there are always some to compare with more urgent
// ones, and more than are reserved. Keys of the backlog that have got a call, or need none, count
// until their turn comes here.
func (s *schedule[K]) fill(reserved int) {
	before := depth(s)
	defer func() {
		if depth(s) != before {
			s.depthChanged()
		}
	}()
	for len(s.backlog.keys) > 0 && (s.ready.lists[Initial].len < backlogAhead || s.ready.len <= reserved) {
		added := s.backlog.added
		key, ok := s.backlog.next()
		if !ok {
			return
		}
		e := s.entries.findOrCreate(key)
		if s.observer != nil {
			s.observer.Added(Initial, e.pending != idle)
		}
		if e.pending == due {
			continue // That call is as urgent or more.
		}
		if e.pending == delayed {
			s.delays.remove(e)
		}
		e.pending, e.added, e.priority, e.postponed = due, added, Initial, false
		if !e.processing {
			s.ready.push(e, Initial, added)
			s.waiters.wakeOne()
		}
	}
}
