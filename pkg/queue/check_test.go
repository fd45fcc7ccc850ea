package queue

import (
	"errors"
	"fmt"
)

// check reports what is inconsistent: every structure must show the same keys in the same state.
func (q *Queue[K]) check() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	listed := 0
	for p := range q.schedule.ready.lists {
		var last *entry[K]
		for e := q.schedule.ready.lists[p].head; e != nil; last, e = e, e.next {
			listed++
			switch {
			case q.schedule.entries.byKey[e.key] != e:
				fail("%v is ready but not in the map", e.key)
			case e.pending != due || e.processing:
				fail("%v is ready, pending %d, processing %t", e.key, e.pending, e.processing)
			case e.prev != last || int(e.level) != p || e.priority > e.level:
				fail("%v is linked wrongly in list %d: level %d, priority %d", e.key, p, e.level, e.priority)
			case last != nil && e.since < last.since:
				fail("%v stands behind %v, which came later", e.key, last.key)
			}
		}
		if q.schedule.ready.lists[p].tail != last {
			fail("list %d has a wrong tail", p)
		}
	}
	for i, e := range q.schedule.delays {
		if e.index != i || e.pending != delayed || q.schedule.entries.byKey[e.key] != e {
			fail("%v is delayed at %d: index %d, pending %d", e.key, i, e.index, e.pending)
		}
		if parent := (i - 1) / 2; i > 0 && e.before(q.schedule.delays[parent]) {
			fail("%v breaks the order of the heap", e.key)
		}
	}
	if first := q.schedule.delays.first(); first != nil && (!q.schedule.timer.set || q.schedule.timer.at > first.readyAt) {
		fail("the timer is set %t at %v for %v", q.schedule.timer.set, q.schedule.timer.at, first.readyAt)
	}
	dueReady, waiting := 0, 0
	for key, e := range q.schedule.entries.byKey {
		if e.key != key || e.pending == idle && !e.processing {
			fail("%v is remembered as %v for nothing", key, e.key)
		}
		if e.pending == due && !e.processing {
			dueReady++
		}
		if e.pending == delayed {
			waiting++
		}
	}
	if dueReady != listed || listed != q.schedule.ready.len || waiting != len(q.schedule.delays) {
		fail("due %d, in lists %d, ready %d; delayed %d, in heap %d", dueReady, listed, q.schedule.ready.len, waiting, len(q.schedule.delays))
	}
	if woken := len(q.schedule.waiters.waiting); q.shutDown && woken > 0 {
		fail("%d workers wait after the shutdown", woken)
	}
	return errors.Join(errs...)
}
