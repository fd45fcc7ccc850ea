package history

import (
	"slices"
	"sync"

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
	if l == nil {
		return
	}
	kept, noted := l.keepChange(key, change)
	if noted {
		return
	}
	// Many calls are to come, or the states are large. Paths are found with no lock held, and once.
	paths := change.Paths()
	if kept != nil {
		kept.Paths()
	}
	if len(paths) > 0 {
		l.note(key, func(c *Cause) { c.changed, c.change = union(c.paths(), paths), nil })
	}
}

// keepChange notes a change as it is, if it is the only one and there is room for its states.
// Otherwise, it returns the one that is noted as it is, if there is one.
func (l *Log) keepChange(key kube.Key, change Change) (kept Change, done bool) {
	l.pending.mu.Lock()
	defer l.pending.mu.Unlock()
	noted := l.pending.find(key)
	if noted != nil && (len(noted.changed) > 0 || noted.change != nil) {
		return noted.change, false
	}
	size := int64(change.Size())
	if noted == nil {
		size += pendingOverhead
	}
	if !l.reserve(size, l.history.pendingLimit()/stateShare) {
		return nil, false
	}
	if noted == nil {
		noted = l.pending.add(key)
	}
	noted.change = change
	return nil, true
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

// note edits what is noted of an object, unless there is no room for what that comes to.
func (l *Log) note(key kube.Key, edit func(*Cause)) {
	l.pending.mu.Lock()
	defer l.pending.mu.Unlock()
	noted := l.pending.find(key)
	var edited Cause
	var before int64
	if noted != nil {
		edited, before = *noted, noted.size()
	}
	edit(&edited)
	if !l.reserve(edited.size()-before, l.history.pendingLimit()) {
		return
	}
	if noted == nil {
		noted = l.pending.add(key)
	}
	*noted = edited
}

// reserve makes room for what is noted of a call to come, if all of that comes to no more than a
// limit. Less than before has room always. The calls to come of the log are locked; those of others
// may be noted meanwhile.
func (l *Log) reserve(bytes, limit int64) bool {
	if l.removed {
		return false
	}
	for pending := &l.history.pending; ; {
		now := pending.Load()
		if bytes > 0 && now+bytes > limit {
			return false
		}
		if pending.CompareAndSwap(now, now+bytes) {
			return true
		}
	}
}

// Take returns what is noted of an object, at the beginning of its call, and forgets it.
func (l *Log) Take(key kube.Key) (c Cause) {
	if l == nil {
		return c
	}
	l.pending.mu.Lock()
	defer l.pending.mu.Unlock()
	if noted := l.pending.find(key); noted != nil {
		c = *noted
		l.history.pending.Add(-c.size())
		l.pending.remove(key)
	}
	return c
}

// Pause forgets what is noted of calls to come: this replica makes none any more.
func (l *Log) Pause() {
	if l == nil {
		return
	}
	l.pending.mu.Lock()
	defer l.pending.mu.Unlock()
	l.history.pending.Add(-l.pending.clear())
}

// maxFew is for how many calls to come there is no map. Mostly there are one or two at a time.
const maxFew = 8

// pendingCalls are the causes of calls to come. One goroutine notes them and another one takes
// them, so what is mostly used lies together: each has to fetch it from the other one's processor.
type pendingCalls struct {
	mu   sync.Mutex
	n    int                 // of few
	more map[kube.Key]*Cause // those for which there was no room in few; nil for none
	few  [maxFew]pendingCall // in any order
}

type pendingCall struct {
	key   kube.Key
	cause Cause
}

// find returns the cause of a call, nil for none. It may be changed until the next call is added or
// removed.
func (p *pendingCalls) find(key kube.Key) *Cause {
	for i := range p.n {
		if p.few[i].key == key {
			return &p.few[i].cause
		}
	}
	if p.more == nil {
		return nil
	}
	return p.more[key]
}

// add adds a call that is not yet there, with no cause.
func (p *pendingCalls) add(key kube.Key) *Cause {
	if p.n < maxFew {
		added := &p.few[p.n]
		added.key = key
		p.n++
		return &added.cause
	}
	if p.more == nil {
		p.more = map[kube.Key]*Cause{}
	}
	added := &Cause{}
	p.more[key] = added
	return added
}

// remove removes a call, if it is there.
func (p *pendingCalls) remove(key kube.Key) {
	for i := range p.n {
		if p.few[i].key == key {
			p.n--
			p.few[i], p.few[p.n] = p.few[p.n], pendingCall{}
			return
		}
	}
	delete(p.more, key)
	if len(p.more) == 0 {
		p.more = nil // A map never shrinks.
	}
}

// clear removes all, and returns the bytes that they took.
func (p *pendingCalls) clear() (bytes int64) {
	for i := range p.n {
		bytes += p.few[i].cause.size()
	}
	for _, c := range p.more {
		bytes += c.size()
	}
	p.n, p.few, p.more = 0, [maxFew]pendingCall{}, nil
	return bytes
}

// len is how many there are.
func (p *pendingCalls) len() int { return p.n + len(p.more) }
