package history

import (
	"encoding/binary"
	"sync"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/statusz"
)

// entryOverhead is about what an object takes besides its handlings, in bytes: its entry, and its
// place in a map with room to grow. Its names are those that the caches have, too.
const entryOverhead = 160

// What is noted of calls to come takes room of the same limit. It is short-lived, so that it may
// only take a share of it.
const (
	pendingShare    = 4
	pendingOverhead = 176 // of an object, in a map with room to grow
	pathOverhead    = 16  // of a path, besides its bytes
)

// History is what is remembered of all definitions. A nil *History remembers nothing. It is safe
// for concurrent use.
type History struct {
	limit int64

	mu        sync.Mutex
	bytes     int64 // of handlings
	pending   int64 // bytes of what is noted of calls to come
	objects   int
	handlings int
	paths     knownPaths
	// oldest and newest are the ends of the list of all objects, by when they were handled last.
	oldest, newest *entry
}

// entry is one object in one definition.
type entry struct {
	log          *Log
	key          kube.Key
	older, newer *entry
	handlings    []byte // each after its length, the newest last
}

// New returns a History that takes that many bytes at most, and nil for 0 or less.
func New(limit int64) *History {
	if limit <= 0 {
		return nil
	}
	return &History{limit: limit}
}

// Stats says how much is remembered.
func (h *History) Stats() statusz.History {
	if h == nil {
		return statusz.History{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return statusz.History{Enabled: true, Objects: h.objects, Handlings: h.handlings, Bytes: h.bytes + h.pending, Limit: h.limit}
}

// Definition returns the empty log of a definition.
func (h *History) Definition() *Log {
	if h == nil {
		return nil
	}
	return &Log{history: h, objects: map[kube.Key]*entry{}}
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
	delete(e.log.objects, e.key)
	h.bytes -= e.size()
	h.objects--
	h.handlings -= e.count()
}

// shrink forgets objects until the limit holds. h.mu is held.
func (h *History) shrink() {
	for h.bytes+h.pending > h.limit && h.oldest != nil {
		h.drop(h.oldest)
	}
}

// count is how many handlings there are.
func (e *entry) count() int {
	n := 0
	for rest := e.handlings; len(rest) > 0; n++ {
		length, size := binary.Uvarint(rest)
		rest = rest[size+int(length):]
	}
	return n
}

func (e *entry) size() int64 { return int64(entryOverhead + cap(e.handlings)) }
