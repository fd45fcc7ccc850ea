package history

import (
	"slices"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/statusz"
)

// Log is what is remembered of one definition. It goes on when the definition changes. A nil *Log
// remembers nothing. It is safe for concurrent use.
type Log struct {
	history *History
	number  uint32 // of this log

	kind string // of the objects; guarded by history.mu
	// removed is read with one of history.mu and pending.mu held, and set with both.
	removed bool
	pending pendingCalls // Its lock may be taken while history.mu is held, and not the other way round.
}

// Enabled reports whether anything is remembered, so that nobody finds out in vain what it is.
func (l *Log) Enabled() bool { return l != nil }

// Add notes a call that has ended, with the cause that Take has returned. What that says is left
// out of the handling, of which it makes a copy. What its slices have must not be changed any more.
func (l *Log) Add(key kube.Key, cause Cause, handling *statusz.Handling) {
	if l == nil {
		return
	}
	h := l.history
	if h.inbox.add(&endedCall{log: l, key: key, cause: cause, handling: *handling}) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.read()
	}
}

// Handlings returns the last calls for an object, the newest first. Those of an object that is gone
// are known until others need the room.
func (l *Log) Handlings(key kube.Key) []statusz.Handling {
	if l == nil {
		return nil
	}
	h := l.history
	h.mu.Lock()
	h.read()
	var packed, rest string
	if e := h.objects[h.place(l, key)]; e != nil {
		rest = e.handlings
	}
	paths := h.paths.texts // It is only appended to.
	h.mu.Unlock()
	var all []statusz.Handling
	for len(rest) > 0 {
		packed, rest = cutHandling(rest)
		r := reader{rest: []byte(packed), paths: paths, began: h.began.UnixMicro()}
		all = append(all, r.handling())
	}
	slices.Reverse(all)
	// Two workers may end their calls for one object in another order than they have made them.
	slices.SortStableFunc(all, func(a, b statusz.Handling) int { return b.Began.Compare(a.Began) })
	return all
}

// SetKind says of what kind the objects of the definition are from now on. If they were of another
// one before, everything is forgotten: names alone tell them apart.
func (l *Log) SetKind(kind string) {
	if l == nil {
		return
	}
	h := l.history
	h.mu.Lock()
	defer h.mu.Unlock()
	other := l.kind != "" && l.kind != kind
	if l.kind = kind; !other {
		return
	}
	h.read()
	h.forget(l)
	l.Pause()
}

// Remove forgets everything, for good: the definition is gone.
func (l *Log) Remove() {
	if l == nil {
		return
	}
	h := l.history
	h.mu.Lock()
	defer h.mu.Unlock()
	l.pending.mu.Lock()
	l.removed = true
	l.pending.mu.Unlock()
	l.Pause()
	h.forget(l)
}
