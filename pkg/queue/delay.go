package queue

import (
	"math"
	"time"
)

// delays is a binary heap of the keys that are not due yet, the earliest first, and of several with one time the most
// urgent first. It is not safe for concurrent use.
type delays[K comparable] struct {
	heap []*entry[K]
}

// set delays e until at.
func (d *delays[K]) set(e *entry[K], p Priority, at time.Duration) {
	e.readyAt, e.priority = at, p
	if e.pending != delayed {
		e.pending = delayed
		e.index = len(d.heap)
		d.heap = append(d.heap, e)
	}
	d.fix(e)
}

// remove takes out e, which is left idle.
func (d *delays[K]) remove(e *entry[K]) {
	e.pending = idle
	end := len(d.heap) - 1
	last := d.heap[end]
	d.heap[end] = nil
	d.heap = d.heap[:end]
	if e != last {
		d.place(last, e.index)
		d.fix(last)
	}
	if end == 0 && cap(d.heap) > shrinkAbove {
		d.heap = nil
	}
}

// fix brings e to its place after its time, or the entry at its place, has changed.
func (d *delays[K]) fix(e *entry[K]) {
	for e.index > 0 && e.before(d.heap[(e.index-1)/2]) {
		d.swap(e, d.heap[(e.index-1)/2])
	}
	for {
		first := e
		for child := 2*e.index + 1; child <= 2*e.index+2 && child < len(d.heap); child++ {
			if d.heap[child].before(first) {
				first = d.heap[child]
			}
		}
		if first == e {
			return
		}
		d.swap(e, first)
	}
}

func (d *delays[K]) swap(a, b *entry[K]) {
	at := a.index
	d.place(a, b.index)
	d.place(b, at)
}

func (d *delays[K]) place(e *entry[K], index int) {
	d.heap[index], e.index = e, index
}

// before tells whether e comes out before another delayed entry.
func (e *entry[K]) before(other *entry[K]) bool {
	if e.readyAt != other.readyAt {
		return e.readyAt < other.readyAt
	}
	return e.priority < other.priority
}

// first returns the entry that is due first, nil if there is none.
func (d *delays[K]) first() *entry[K] {
	if len(d.heap) == 0 {
		return nil
	}
	return d.heap[0]
}

// alarm is the one timer of a queue: it fires when the first delayed key becomes due, or before.
type alarm struct {
	fire  func()
	timer *time.Timer
	at    time.Duration
	set   bool
}

// arm makes the alarm call fire at the latest when at has come. An alarm that is set for an earlier time stays: fire
// arms it again.
func (a *alarm) arm(at, now time.Duration) {
	if a.set && a.at <= at {
		return
	}
	a.at, a.set = at, true
	if a.timer == nil {
		a.timer = time.AfterFunc(at-now, a.fire)
		return
	}
	a.timer.Reset(at - now)
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
	a.set = false
}

// after returns now+d, or the end of time if that is beyond it.
func after(now, d time.Duration) time.Duration {
	if d > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + d
}
