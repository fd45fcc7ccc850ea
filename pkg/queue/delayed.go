package queue

// delayHeap is a binary heap of the entries that are not due yet: the earliest first, and of
// several with one time the most urgent first. It is not safe for concurrent use.
//
// container/heap would do, but it makes a retry half as slow again (BenchmarkRetry).
type delayHeap[K comparable] []*entry[K]

func (h *delayHeap[K]) add(e *entry[K]) {
	e.pending, e.index = delayed, len(*h)
	*h = append(*h, e)
	h.fix(e)
}

// remove takes out e, which is left idle.
func (h *delayHeap[K]) remove(e *entry[K]) {
	e.pending = idle
	end := len(*h) - 1
	last := (*h)[end]
	(*h)[end] = nil
	*h = (*h)[:end]
	if e != last {
		h.place(last, e.index)
		h.fix(last)
	}
	if end == 0 && cap(*h) > shrinkAbove {
		*h = nil
	}
}

// first returns the entry that is due first, nil if there is none.
func (h delayHeap[K]) first() *entry[K] {
	if len(h) == 0 {
		return nil
	}
	return h[0]
}

// fix moves e, which is new at its place, to where it belongs.
func (h delayHeap[K]) fix(e *entry[K]) {
	for e.index > 0 && e.before(h[(e.index-1)/2]) {
		h.swap(e, h[(e.index-1)/2])
	}
	for {
		first := e
		for child := 2*e.index + 1; child <= 2*e.index+2 && child < len(h); child++ {
			if h[child].before(first) {
				first = h[child]
			}
		}
		if first == e {
			return
		}
		h.swap(e, first)
	}
}

func (h delayHeap[K]) swap(a, b *entry[K]) {
	at := a.index
	h.place(a, b.index)
	h.place(b, at)
}

func (h delayHeap[K]) place(e *entry[K], index int) {
	h[index], e.index = e, index
}

// before reports whether e becomes due before another delayed entry.
func (e *entry[K]) before(other *entry[K]) bool {
	if e.readyAt != other.readyAt {
		return e.readyAt < other.readyAt
	}
	return e.priority < other.priority
}
