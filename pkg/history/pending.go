package history

import (
	"slices"

	"kooperd.dev/kooperd/pkg/kube"
)

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

// Changed notes what of an object has changed. It is to be followed by a call, which takes it. The
// paths must not be changed any more: they are kept as they are.
func (l *Log) Changed(key kube.Key, paths []string) {
	if l == nil || len(paths) == 0 {
		return
	}
	l.history.mu.Lock()
	defer l.history.mu.Unlock()
	c, known := l.pending.get(key)
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
	c, known := l.pending.get(key)
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
	l.pending.set(key, c)
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
	c, known := l.pending.take(key)
	if known {
		l.history.pending -= c.size()
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
	l.history.pending -= l.pending.clear()
}

// maxFew is for how many calls to come there is no map. Mostly there are one or two at a time.
const maxFew = 8

// pendingCalls are the causes of calls to come.
type pendingCalls struct {
	few  []pendingCall // up to maxFew, in any order
	more map[kube.Key]Cause
}

type pendingCall struct {
	key   kube.Key
	cause Cause
}

func (p *pendingCalls) place(key kube.Key) int {
	return slices.IndexFunc(p.few, func(c pendingCall) bool { return c.key == key })
}

// get returns the cause of a call, if there is one.
func (p *pendingCalls) get(key kube.Key) (c Cause, known bool) {
	if at := p.place(key); at >= 0 {
		return p.few[at].cause, true
	}
	c, known = p.more[key]
	return c, known
}

// set sets the cause of a call.
func (p *pendingCalls) set(key kube.Key, c Cause) {
	_, known := p.more[key]
	switch at := p.place(key); {
	case at >= 0:
		p.few[at].cause = c
	case len(p.few) < maxFew && !known:
		p.few = append(p.few, pendingCall{key, c})
	case p.more == nil:
		p.more = map[kube.Key]Cause{key: c}
	default:
		p.more[key] = c
	}
}

// take is get, and removes it.
func (p *pendingCalls) take(key kube.Key) (c Cause, known bool) {
	if at := p.place(key); at >= 0 {
		c, last := p.few[at].cause, len(p.few)-1
		p.few[at], p.few[last] = p.few[last], pendingCall{}
		p.few = p.few[:last]
		return c, true
	}
	if c, known = p.more[key]; known {
		delete(p.more, key)
	}
	if len(p.more) == 0 {
		p.more = nil // A map never shrinks.
	}
	return c, known
}

// clear removes all, and returns the bytes that they took.
func (p *pendingCalls) clear() (bytes int64) {
	for _, c := range p.few {
		bytes += c.cause.size()
	}
	for _, c := range p.more {
		bytes += c.size()
	}
	*p = pendingCalls{}
	return bytes
}

// len is how many there are.
func (p *pendingCalls) len() int { return len(p.few) + len(p.more) }
