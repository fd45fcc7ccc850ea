package queue

import (
	"errors"
	"fmt"
)

// check tells what is inconsistent in the queue: every structure must show the same keys in the same state.
func (q *Queue[K]) check() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	lined := 0
	for p := range q.ready.line {
		var last *entry[K]
		for e := q.ready.line[p].head; e != nil; last, e = e, e.next {
			lined++
			switch {
			case q.table.entries[e.key] != e:
				fail("%v is in line but not in the table", e.key)
			case e.pending != due || e.processing:
				fail("%v is in line, pending %d, processing %t", e.key, e.pending, e.processing)
			case e.prev != last || int(e.line) != p || e.priority > e.line:
				fail("%v is linked wrongly in line %d: line %d, priority %d", e.key, p, e.line, e.priority)
			case last != nil && e.since < last.since:
				fail("%v stands behind %v, which came later", e.key, last.key)
			}
		}
		if q.ready.line[p].tail != last {
			fail("line %d has a wrong tail", p)
		}
	}
	for i, e := range q.delays.heap {
		if e.index != i || e.pending != delayed || q.table.entries[e.key] != e {
			fail("%v is delayed at %d: index %d, pending %d", e.key, i, e.index, e.pending)
		}
		if parent := (i - 1) / 2; i > 0 && e.before(q.delays.heap[parent]) {
			fail("%v breaks the order of the heap", e.key)
		}
	}
	if first := q.delays.first(); first != nil && (!q.alarm.set || q.alarm.at > first.readyAt) {
		fail("the alarm is set %t at %v for %v", q.alarm.set, q.alarm.at, first.readyAt)
	}
	dueLined, waiting, processing := 0, 0, 0
	for key, e := range q.table.entries {
		if e.key != key || e.pending == idle && !e.processing {
			fail("%v is remembered as %v for nothing", key, e.key)
		}
		if e.pending == due && !e.processing {
			dueLined++
		}
		if e.pending == delayed {
			waiting++
		}
		if e.processing {
			processing++
		}
	}
	if dueLined != lined || lined != q.ready.len || waiting != len(q.delays.heap) || processing != q.processing {
		fail("due %d, in line %d, ready %d; delayed %d, in heap %d; processing %d, counted %d",
			dueLined, lined, q.ready.len, waiting, len(q.delays.heap), processing, q.processing)
	}
	if woken := len(q.waiters.waiting); q.shutDown && woken > 0 {
		fail("%d workers wait after the shutdown", woken)
	}
	for _, w := range q.waiters.spare {
		if len(w.wake) > 0 {
			fail("a spare waiter holds a wake-up")
		}
	}
	return errors.Join(errs...)
}
