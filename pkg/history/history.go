package history

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/statusz"
)

// pendingShare is the share of the limit for what is noted of calls to come, which is short-lived:
// one of so many parts.
const pendingShare = 4

// History is what is remembered of all definitions. A nil *History remembers nothing. It is safe
// for concurrent use.
type History struct {
	limit int64        // of bytes
	began time.Time    // times are packed as those since then
	seed  maphash.Seed // of the keys of objects

	pending atomic.Int64 // bytes of what is noted of calls to come
	inbox   inbox        // Its lock may be taken while mu is held, and not the other way round.

	mu        sync.Mutex
	logs      uint32 // how many there have been
	objects   map[uint64]*entry
	bytes     int64 // of objects
	handlings int
	paths     knownPaths
	packing   []byte // room for one handling
	joining   []byte // and for those of an object
	// oldest and newest are the ends of the list of all objects, by when they were handled last.
	oldest, newest *entry
}

// New returns a History that takes that many bytes at most, and nil for 0 or less.
func New(limit int64) *History {
	if limit <= 0 {
		return nil
	}
	h := &History{limit: limit, began: time.Now(), seed: maphash.MakeSeed(), objects: map[uint64]*entry{}}
	h.inbox.maxKept = h.pendingLimit() / stateShare
	return h
}

// pendingLimit is how much pending may be.
func (h *History) pendingLimit() int64 { return h.limit / pendingShare }

// Stats says how much is remembered.
func (h *History) Stats() statusz.History {
	if h == nil {
		return statusz.History{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read()
	return statusz.History{
		Enabled: true, Objects: len(h.objects), Handlings: h.handlings, Bytes: h.bytes + h.pending.Load(), Limit: h.limit,
	}
}

// Definition returns the empty log of a definition.
func (h *History) Definition() *Log {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs++
	return &Log{history: h, number: h.logs}
}

// place is where an object of a log is remembered. It is a hash of both: names would take most of
// the room. Two objects have the same one in one of 10^19 cases, and then they have one history.
func (h *History) place(l *Log, key kube.Key) uint64 {
	return maphash.Comparable(h.seed, objectOfLog{log: l.number, key: key})
}

type objectOfLog struct {
	log uint32
	key kube.Key
}

// read remembers the calls that have ended since. h.mu is held.
func (h *History) read() {
	ended := h.inbox.take()
	for i := range ended {
		h.remember(&ended[i])
	}
	h.inbox.giveBack(ended)
}

// remember packs a call that has ended. h.mu is held.
func (h *History) remember(c *endedCall) {
	if c.log.removed {
		return
	}
	c.handling.Changed, c.handling.By = c.cause.paths(), c.cause.by
	place := h.place(c.log, c.key)
	e := h.objects[place]
	if e == nil {
		e = &entry{place: place, log: c.log.number}
		h.objects[place] = e
	} else {
		h.unlink(e)
		h.bytes -= e.size()
		h.handlings -= int(e.count)
	}
	h.append(e)
	h.packing = h.appendHandling(h.packing[:0], &c.handling)
	h.joining = e.add(h.packing, h.joining)
	h.handlings += int(e.count)
	h.bytes += e.size()
	for h.bytes > h.limit-h.pendingLimit() && h.oldest != nil {
		h.drop(h.oldest)
	}
}

// forget drops all objects of a log. h.mu is held.
func (h *History) forget(l *Log) {
	for e := h.oldest; e != nil; {
		next := e.newer
		if e.log == l.number {
			h.drop(e)
		}
		e = next
	}
}

// append adds an entry at the newest end. h.mu is held.
func (h *History) append(e *entry) {
	if e.older = h.newest; e.older == nil {
		h.oldest = e
	} else {
		e.older.newer = e
	}
	h.newest = e
}

// unlink takes an entry out of the list. h.mu is held.
func (h *History) unlink(e *entry) {
	if e.older == nil {
		h.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		h.newest = e.older
	} else {
		e.newer.older = e.older
	}
	e.older, e.newer = nil, nil
}

// drop forgets an object. h.mu is held.
func (h *History) drop(e *entry) {
	h.unlink(e)
	delete(h.objects, e.place)
	h.bytes -= e.size()
	h.handlings -= int(e.count)
}
