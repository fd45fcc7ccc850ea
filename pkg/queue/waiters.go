package queue

import "slices"

// waiter is a Get or Reserve that waits for a key. It holds one wake-up.
type waiter chan struct{}

// waiters are the calls that wait. A wake-up goes to one of them and says only that there may be a
// key: a worker that comes by first may take it, which saves a switch. It is not safe for
// concurrent use.
type waiters struct {
	waiting []waiter
	spare   []waiter // without them each wait allocates (BenchmarkWorkers)
}

func (w *waiters) join() waiter {
	var joined waiter
	if n := len(w.spare); n > 0 {
		joined, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		joined = make(waiter, 1)
	}
	w.waiting = append(w.waiting, joined)
	return joined
}

// leave ends the wait of one that has been woken, or has given up.
func (w *waiters) leave(left waiter) {
	if i := slices.Index(w.waiting, left); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
	}
	select {
	case <-left:
	default:
	}
	w.spare = append(w.spare, left)
}

// wakeOne wakes the call that came last: its worker is the warmest.
func (w *waiters) wakeOne() {
	last := len(w.waiting) - 1
	if last < 0 {
		return
	}
	w.waiting[last] <- struct{}{}
	w.waiting[last] = nil
	w.waiting = w.waiting[:last]
}

func (w *waiters) wakeAll() {
	for len(w.waiting) > 0 {
		w.wakeOne()
	}
}
