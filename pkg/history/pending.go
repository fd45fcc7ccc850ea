package history

import (
	"slices"

	"kooperd.dev/kooperd/pkg/kube"
)

// What is noted of calls to come takes about so much, in bytes.
const (
	pendingOverhead = 192 // of an object, in a map with room to grow
	pathOverhead    = 16  // of a path, besides its bytes
)

// Change is a change of an object, such as kube.Change.
type Change interface {
	// Paths are those of what has changed. They are not changed any more.
	Paths() []string
	// Size is how many bytes the change keeps until its paths are asked for.
	Size() int
}

// Cause is what is known of why an object is going to be handled, besides the cause of the queue.
type Cause struct {
	changed []string // paths of the object
	change  Change   // one whose paths are not among them; nil for none
	by      string   // the last child or related object whose event calls for it
}

// paths are those of the object that have changed since it was handled before.
func (c *Cause) paths() []string {
	if c.change == nil {
		return c.changed
	}
	return union(c.changed, c.change.Paths())
}

// kept is how many bytes its change keeps.
func (c *Cause) kept() int64 {
	if c.change == nil {
		return 0
	}
	return int64(c.change.Size())
}

// size is what it takes while it is pending, in bytes.
func (c *Cause) size() int64 {
	n := pendingOverhead + len(c.by) + pathOverhead*cap(c.changed)
	for _, path := range c.changed {
		n += len(path)
	}
	return int64(n) + c.kept()
}

// Changed notes what of an object has changed. It is to be followed by a call, which takes it.
func (l *Log) Changed(key kube.Key, change Change) {
	if l == nil || l.keepChange(key, change) {
		return
	}
	paths := change.Paths() // With no lock held: many calls are to come, or the states are large.
	if len(paths) == 0 {
		return
	}
	l.note(key, func(c *Cause) { c.changed, c.change = union(c.paths(), paths), nil })
}

// keepChange notes a change as it is, if it is the only one and there is room for its states.
func (l *Log) keepChange(key kube.Key, change Change) bool {
	in := &l.history.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.pending+int64(change.Size()) > in.limit/stateShare {
		return false
	}
	c, known := l.pending.get(key)
	if len(c.changed) > 0 || c.change != nil {
		return false
	}
	before := c.size()
	c.change = change
	return l.set(key, c, known, before)
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
	l.note(key, func(c *Cause) { c.by = by })
}

// note edits what is noted of an object.
func (l *Log) note(key kube.Key, edit func(*Cause)) {
	in := &l.history.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	c, known := l.pending.get(key)
	before := c.size()
	edit(&c)
	l.set(key, c, known, before)
}

// set notes a cause in place of one of that size, if that is known, unless there is too much of all
// definitions. It reports whether it did. The inbox is locked.
func (l *Log) set(key kube.Key, c Cause, known bool, before int64) bool {
	in, more := &l.history.inbox, c.size()
	if known {
		more -= before
	}
	if l.removed || in.pending+more > in.limit {
		return false
	}
	l.pending.set(key, c)
	in.pending += more
	return true
}

// Take returns what is noted of an object, at the beginning of its call, and forgets it.
func (l *Log) Take(key kube.Key) Cause {
	if l == nil {
		return Cause{}
	}
	in := &l.history.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	c, known := l.pending.take(key)
	if known {
		in.pending -= c.size()
	}
	return c
}

// Pause forgets what is noted of calls to come: this replica makes none any more.
func (l *Log) Pause() {
	if l == nil {
		return
	}
	in := &l.history.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pending -= l.pending.clear()
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
