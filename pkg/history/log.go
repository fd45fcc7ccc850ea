package history

import (
	"encoding/binary"
	"slices"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/statusz"
)

// perObject is how many handlings of one object are kept.
const perObject = 5

// Log is what is remembered of one definition. It goes on when the definition changes. A nil *Log
// remembers nothing. It is safe for concurrent use.
type Log struct {
	history *History

	// All that follows is guarded by history.mu.

	removed bool
	objects map[kube.Key]*entry
	kind    string             // of the objects
	pending map[kube.Key]Cause // of objects that are to be handled
	most    int                // how many of these there were in this map
}

// Cause is what is known of why an object is going to be handled, besides the cause of the queue.
type Cause struct {
	// Changed are the paths of it that have changed since it was handled before. They must not be
	// changed.
	Changed []string
	// By is the last child or related object whose event calls for it.
	By string
}

// size is what it takes while it is pending, in bytes.
func (c Cause) size() int64 {
	n := pendingOverhead + len(c.By) + pathOverhead*cap(c.Changed)
	for _, path := range c.Changed {
		n += len(path)
	}
	return int64(n)
}

// Enabled reports whether anything is remembered, so that nobody finds out in vain what it is.
func (l *Log) Enabled() bool { return l != nil }

// Changed notes what of an object has changed. It is to be followed by a call, which takes it. The
// paths must not be changed any more: they are kept as they are.
func (l *Log) Changed(key kube.Key, paths []string) {
	if l == nil || len(paths) == 0 {
		return
	}
	l.history.mu.Lock()
	defer l.history.mu.Unlock()
	c, known := l.pending[key]
	before := c
	c.Changed = union(c.Changed, paths)
	l.note(key, before, known, c)
}

// union returns some paths and those of others that are not among them, as far as there is room. It
// changes neither.
func union(some, others []string) []string {
	if len(some) == 0 {
		return slices.Clip(others[:min(len(others), maxChanged)])
	}
	for _, path := range others {
		if len(some) < maxChanged && !slices.Contains(some, path) {
			some = append(slices.Clip(some), path)
		}
	}
	return some
}

// CalledBy notes whose event calls for an object.
func (l *Log) CalledBy(key kube.Key, by string) {
	if l == nil {
		return
	}
	l.history.mu.Lock()
	defer l.history.mu.Unlock()
	c, known := l.pending[key]
	before := c
	c.By = by
	l.note(key, before, known, c)
}

// note notes a cause in place of the one before, if that is known, unless there is too much of all
// definitions. history.mu is held.
func (l *Log) note(key kube.Key, before Cause, known bool, c Cause) {
	h, more := l.history, c.size()
	if known {
		more -= before.size()
	}
	if l.removed || h.pending+more > h.limit/pendingShare {
		return
	}
	if l.pending == nil {
		l.pending = map[kube.Key]Cause{}
	}
	l.pending[key] = c
	l.most = max(l.most, len(l.pending))
	h.pending += more
	h.shrink()
}

// Take returns what is noted of an object, at the beginning of its call, and forgets it.
func (l *Log) Take(key kube.Key) Cause {
	if l == nil {
		return Cause{}
	}
	l.history.mu.Lock()
	defer l.history.mu.Unlock()
	c, known := l.pending[key]
	if !known {
		return Cause{}
	}
	delete(l.pending, key)
	l.history.pending -= c.size()
	if len(l.pending) == 0 && l.most > pendingKept {
		l.pending, l.most = nil, 0 // A map never shrinks.
	}
	return c
}

// Pause forgets what is noted of calls to come: this replica makes none any more.
func (l *Log) Pause() {
	if l == nil {
		return
	}
	l.history.mu.Lock()
	defer l.history.mu.Unlock()
	l.forgetPending()
}

// forgetPending is Pause with history.mu held.
func (l *Log) forgetPending() {
	for _, c := range l.pending {
		l.history.pending -= c.size()
	}
	l.pending, l.most = nil, 0
}

// Add notes a call that has ended.
func (l *Log) Add(key kube.Key, handling statusz.Handling) {
	if l == nil {
		return
	}
	var room [256]byte
	encoded := appendHandling(room[:0], handling)
	h := l.history
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.removed {
		return
	}
	e := l.objects[key]
	if e == nil {
		e = &entry{log: l, key: key}
		l.objects[key] = e
		h.objects++
		h.bytes += e.size()
	} else {
		h.unlink(e)
	}
	h.append(e)
	h.bytes -= e.size()
	h.handlings -= e.n
	e.add(encoded)
	h.bytes += e.size()
	h.handlings += e.n
	h.shrink()
}

// add adds an encoded handling, in place of the oldest one if there are enough.
func (e *entry) add(encoded []byte) {
	kept := e.handlings
	if e.n == perObject {
		length, n := binary.Uvarint(kept)
		kept = kept[n+int(length):]
	} else {
		e.n++
	}
	var room [binary.MaxVarintLen64]byte
	length := binary.AppendUvarint(room[:0], uint64(len(encoded)))
	next := e.handlings[:0]
	if size := len(kept) + len(length) + len(encoded); cap(next) < size || cap(next) > 2*size {
		next = make([]byte, 0, size)
	}
	next = append(next, kept...) // It may be in place: then it moves towards the beginning.
	e.handlings = append(append(next, length...), encoded...)
}

// Handlings returns the last calls for an object, the newest first. Those of an object that is gone
// are known until others need the room.
func (l *Log) Handlings(key kube.Key) []statusz.Handling {
	if l == nil {
		return nil
	}
	l.history.mu.Lock()
	var text []byte
	if e := l.objects[key]; e != nil {
		text = slices.Clone(e.handlings)
	}
	l.history.mu.Unlock()
	var all []statusz.Handling
	for len(text) > 0 {
		length, n := binary.Uvarint(text)
		text = text[n:]
		r := reader{text[:length]}
		all = append(all, r.handling())
		text = text[length:]
	}
	slices.Reverse(all)
	// Two workers may end their calls for one object in another order than they have made them.
	slices.SortStableFunc(all, func(a, b statusz.Handling) int { return b.Began.Compare(a.Began) })
	return all
}

// Remove forgets everything, for good: the definition is gone.
func (l *Log) Remove() {
	if l == nil {
		return
	}
	l.history.mu.Lock()
	defer l.history.mu.Unlock()
	l.forgetPending()
	l.removed = true
	for _, e := range l.objects {
		l.history.drop(e)
	}
	l.objects = nil
}
