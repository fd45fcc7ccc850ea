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
	kind    string       // of the objects
	pending pendingCalls // of objects that are to be handled
}

// Enabled reports whether anything is remembered, so that nobody finds out in vain what it is.
func (l *Log) Enabled() bool { return l != nil }

// Add notes a call that has ended.
func (l *Log) Add(key kube.Key, handling statusz.Handling) {
	if l == nil {
		return
	}
	h := l.history
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.removed {
		return
	}
	var room [256]byte
	encoded := appendHandling(room[:0], handling, &h.paths)
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
	h.handlings += e.add(encoded)
	h.bytes += e.size()
	h.shrink()
}

// add adds an encoded handling, in place of the oldest one if there are enough. It returns how many
// more there are then.
func (e *entry) add(encoded []byte) (more int) {
	kept := e.handlings
	if e.count() == perObject {
		length, n := binary.Uvarint(kept)
		kept = kept[n+int(length):]
	} else {
		more = 1
	}
	var room [binary.MaxVarintLen64]byte
	length := binary.AppendUvarint(room[:0], uint64(len(encoded)))
	next := e.handlings[:0]
	if size := len(kept) + len(length) + len(encoded); cap(next) < size || cap(next) > 2*size {
		next = make([]byte, 0, size)
	}
	next = append(next, kept...) // It may be in place: then it moves towards the beginning.
	e.handlings = append(append(next, length...), encoded...)
	return more
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
	paths := l.history.paths.texts // It is only appended to.
	l.history.mu.Unlock()
	var all []statusz.Handling
	for len(text) > 0 {
		length, n := binary.Uvarint(text)
		text = text[n:]
		r := reader{rest: text[:length], paths: paths}
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
