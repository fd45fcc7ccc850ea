package compose

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// Memory is what a definition remembers of the writes it has made: the answers that its caches do
// not have yet, and what was applied in which state. Losing it costs nothing but time. The
// revisions of a definition share it. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	parents map[types.UID]*parentMemory
	byKey   map[kube.Key]types.UID
	asking  relatedIndex
	// Brake holds deletions of the definition.
	Brake *Brake
	// Rollout holds changes of what is desired.
	Rollout *Rollout
	// Attention is what somebody should look at.
	Attention *AttentionLog
	fights    *fights
	events    *eventLog
	children  *childTotals
	// notReady are parents that wait to be ready, goingChildren those that stay, with children that
	// are being deleted.
	notReady, goingChildren lasting
}

// parentMemory is what is remembered of one parent.
type parentMemory struct {
	key      kube.Key
	answer   handlers.Object // to the last write of the parent; nil when the cache has it
	counts   counts
	refused  []ChildID // those of them that are counted as refused
	children map[ChildID]*childMemory
	patches  map[ChildID]*patchMemory
	related  []matcher // what a Relater has asked for
	labels   labelMemory
	writing  writing           // of the parent
	finished map[string]string // children that are gone, see noteFinished
	selected string            // the condition that has selected it, see noteSelected

	terminating map[string]time.Time // namespaces that are being deleted, with when that was said
	reports     reports              // see firstReport
	parentTimes
	parentVersions
}

// parentTimes is when something began or ended for a parent.
type parentTimes struct {
	moving  time.Time // since when children wait for another definition
	release release   // see noteHeld
}

// parentVersions is what is remembered of the writes of a parent.
type parentVersions struct {
	status  string   // hash of the status that was written, see wroteStatus
	version string   // resourceVersion of the parent after that
	earlier []string // resourceVersions of the parent after the writes before
}

// childMemory is what is remembered of one child.
type childMemory struct {
	uid     types.UID
	version string          // resourceVersion of the answer
	hash    string          // of what was applied
	answer  handlers.Object // nil when the cache has it
	gone    bool            // the object of that UID was deleted
	going   bool            // the same, and it was still there in the answer
	writing writing
}

// writing is a write under way. Events that come meanwhile may be those of the write, so they wait
// for its answer.
type writing struct {
	n    int
	held []heldEvent
}

// heldEvent is an event that waits.
type heldEvent struct {
	uid     types.UID
	version string
	deleted bool
	notify  func()
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{
		parents: map[types.UID]*parentMemory{}, byKey: map[kube.Key]types.UID{}, asking: relatedIndex{}, Brake: &Brake{},
		Rollout: &Rollout{now: time.Now}, Attention: &AttentionLog{}, children: &childTotals{},
		fights: newFights(), events: newEventLog(),
	}
}

// of returns what is remembered of a parent. m.mu is held.
func (m *Memory) of(uid types.UID) *parentMemory {
	p := m.parents[uid]
	if p == nil {
		p = &parentMemory{children: map[ChildID]*childMemory{}}
		m.parents[uid] = p
	}
	return p
}

// child returns what is remembered of a child.
func (p *parentMemory) child(id ChildID) *childMemory {
	c := p.children[id]
	if c == nil {
		c = &childMemory{}
		p.children[id] = c
	}
	return c
}

// meet notes that a parent of that key is being handled. It drops an earlier one of its name, and
// returns how its children were counted.
func (m *Memory) meet(key kube.Key, uid types.UID) (before counts) {
	m.mu.Lock()
	earlier, ok := m.byKey[key]
	m.mu.Unlock()
	if ok && earlier != uid {
		before = m.forget(key, earlier)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(uid).key = key
	m.byKey[key] = uid
	return before
}

// forget drops a parent that is gone, the latest of that key where uid is empty, and returns how
// its children were counted.
func (m *Memory) forget(key kube.Key, uid types.UID) counts {
	m.mu.Lock()
	if uid == "" {
		uid = m.byKey[key]
	}
	if m.byKey[key] == uid {
		delete(m.byKey, key)
	}
	before := m.parents[uid].counted()
	if p := m.parents[uid]; p != nil {
		m.asking.remove(uid, p.related)
	}
	delete(m.parents, uid)
	m.mu.Unlock()
	m.Brake.release(uid)
	m.Brake.forget(uid)
	m.Rollout.forget(key, uid)
	m.fights.forget(uid)
	m.events.forget(uid)
	m.Attention.forget(uid)
	forgetLasting(m, uid)
	return before
}

// uidOf returns the UID of a parent: uid, or where that is empty, that of the latest of its key.
func uidOf(m *Memory, key kube.Key, uid types.UID) types.UID {
	if uid != "" {
		return uid
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byKey[key]
}

// counted is how the children of a parent were counted. It may be nil.
func (p *parentMemory) counted() counts {
	if p == nil {
		return counts{}
	}
	return p.counts
}

// beginWrite is called before a child is written.
func (m *Memory) beginWrite(parent types.UID, id ChildID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(parent).child(id).writing.n++
}

// endWrite is called with the answer, nil after an error. Events of other states than that of the
// answer are passed on.
func (m *Memory) endWrite(parent types.UID, id ChildID, hash string, answer handlers.Object) {
	m.mu.Lock()
	c := m.of(parent).child(id)
	if answer != nil {
		c.uid, c.version, c.hash, c.answer, c.gone = answer.UID(), answer.ResourceVersion(), hash, answer, false
		c.going = answer.Metadata().DeletionTimestamp != nil
	}
	held := c.writing.end()
	version := c.version
	if arrived(held, answer) {
		c.answer = nil
	}
	m.mu.Unlock()
	notify(held, answer, version)
}

// endDelete is called after a child was deleted.
func (m *Memory) endDelete(parent types.UID, id ChildID, uid types.UID, deleted bool) {
	m.mu.Lock()
	c := m.of(parent).child(id)
	if deleted {
		*c = childMemory{uid: uid, gone: true, writing: c.writing}
	}
	held := c.writing.end()
	isOwn := func(event heldEvent) bool { return deleted && event.deleted && event.uid == uid }
	if slices.ContainsFunc(held, isOwn) {
		delete(m.of(parent).children, id) // The cache has it.
	}
	m.mu.Unlock()
	for _, event := range held {
		if !isOwn(event) {
			event.notify()
		}
	}
}

// end counts a write as answered and returns the events that have waited, if none is under way. The
// begin may have been forgotten meanwhile.
func (w *writing) end() []heldEvent {
	if w.n = max(w.n-1, 0); w.n > 0 {
		return nil
	}
	held := w.held
	w.held = nil
	return held
}

// arrived reports whether the last event is that of the answer: then the cache has it.
func arrived(held []heldEvent, answer handlers.Object) bool {
	return answer != nil && len(held) > 0 && held[len(held)-1].version == answer.ResourceVersion()
}

func notify(held []heldEvent, answer handlers.Object, version string) {
	for _, event := range held {
		if answer == nil || event.deleted || event.version != version {
			event.notify()
		}
	}
}

// ownEvent reports whether an event is that of a write of ours, which changes nothing for the
// parent. While that cannot be known, it returns true too, and later calls event.notify if the
// event is not.
func (m *Memory) ownEvent(parent types.UID, id ChildID, event heldEvent) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return false
	}
	c := p.children[id]
	switch {
	case c == nil:
		return false
	case c.writing.n > 0:
		c.writing.held = append(c.writing.held, event)
		return true
	case event.deleted && c.gone && c.uid == event.uid:
		delete(p.children, id) // The cache has it.
		return true
	case event.deleted:
		return false
	case c.gone || c.uid != event.uid || c.version != event.version:
		return false
	}
	c.answer = nil // The cache has it.
	return true
}

// writesOfPass is how often one pass writes the parent at most before it writes its status: the
// finalizer, labels and annotations, and the note of what has finished.
const writesOfPass = 3

// beginParentWrite, endParentWrite and ownParentEvent are the same for the parent itself.
func (m *Memory) beginParentWrite(parent types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(parent).writing.n++
}

func (m *Memory) endParentWrite(parent types.UID, statusHash string, answer handlers.Object) {
	m.mu.Lock()
	p := m.of(parent)
	if answer != nil {
		p.answer, p.earlier = answer, append(slices.Clip(p.earlier[max(0, len(p.earlier)-writesOfPass+1):]), p.version)
		p.version = answer.ResourceVersion()
		if statusHash != "" {
			p.status = statusHash
		}
	}
	held := p.writing.end()
	version, earlier := p.version, p.earlier
	if arrived(held, answer) {
		p.answer = nil
	}
	m.mu.Unlock()
	isEarlier := func(event heldEvent) bool { return !event.deleted && slices.Contains(earlier, event.version) }
	notify(slices.DeleteFunc(held, isEarlier), answer, version)
}

func (m *Memory) ownParentEvent(parent types.UID, event heldEvent) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	switch {
	case p == nil:
		return false
	case p.writing.n > 0:
		p.writing.held = append(p.writing.held, event)
		return true
	case event.version != "" && slices.Contains(p.earlier, event.version):
		return true
	case p.version == "" || p.version != event.version:
		return false
	}
	p.answer = nil // The cache has it.
	return true
}

// newest returns the parent as it is known: as the cache has it at this moment, or as the answer to
// the last write, if the cache does not have that yet.
func (m *Memory) newest(handed handlers.Object, source Source) handlers.Object {
	key := kube.Key{Namespace: handed.Namespace(), Name: handed.Name()}
	m.mu.Lock()
	defer m.mu.Unlock() // An answer may be dropped once the cache has it, and not before it is read.
	if now, ok := source.Get(key.Namespace, key.Name); ok && now.UID() == handed.UID() {
		handed = now
	}
	p := m.parents[handed.UID()]
	if p == nil || p.answer == nil {
		return handed
	}
	if answer := p.answer; answer.ResourceVersion() != handed.ResourceVersion() && !source.Reached(key, answer.ResourceVersion()) {
		return answer
	}
	p.answer = nil
	return handed
}

// remember notes that an object in this state is as applied.
func (m *Memory) remember(parent types.UID, id ChildID, uid types.UID, version, hash string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.of(parent).child(id)
	if c.writing.n == 0 && c.answer == nil {
		c.uid, c.version, c.hash, c.gone = uid, version, hash, false
	}
}
