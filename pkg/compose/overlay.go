package compose

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// recalled is what is remembered of one child when the caches are read.
type recalled struct {
	uid           types.UID
	version, hash string
	answer        handlers.Object // nil when the cache has it
	metadataOnly  bool            // of the answer
	gone          bool            // the object of that UID was deleted
	going         bool            // the same, and it was still there in the answer
}

// recall calls list, which reads the caches, with mu held, and returns what is remembered of the
// children of a parent. The answer to a write leaves the memory only after a cache has it, and that
// takes mu. So each answer is seen in a cache, in the memory, or in both.
func (m *Memory) recall(
	parent types.UID, sourceOf func(ChildID) (ChildSource, bool), list func(),
) map[ChildID]recalled {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		list()
		return nil
	}
	all := make(map[ChildID]recalled, len(p.children))
	for id, c := range p.children {
		source, ok := sourceOf(id)
		if !ok {
			delete(p.children, id)
			continue
		}
		if c.answer != nil && source.Source.Reached(kube.Key{Namespace: id.Namespace, Name: id.Name}, c.version) {
			c.answer = nil
		}
		all[id] = recalled{
			uid: c.uid, version: c.version, hash: c.hash, answer: c.answer, gone: c.gone, going: c.going, metadataOnly: source.MetadataOnly,
		}
	}
	list()
	return all
}

// overlay puts what is remembered over what the caches have: answers that they do not have yet, and
// objects that were deleted. It returns what need not be remembered any more.
func overlay(observed map[ChildID]observedChild, remembered map[ChildID]recalled) (done []ChildID) {
	for id, c := range remembered {
		cached, there := observed[id]
		switch {
		case c.gone && there && cached.UID == c.uid && !cached.Deleting:
			delete(observed, id)
			continue
		case c.gone && there: // Another object has its name, or it is still being deleted.
			done = append(done, id)
			continue
		case c.gone: // It is remembered until its event, which calls nobody then.
			continue
		case c.answer != nil:
			cached, there = observe(c.answer, c.metadataOnly), true
			observed[id] = cached
		}
		if there && cached.UID == c.uid {
			cached.last = c.hash
		}
		switch {
		case !there:
			done = append(done, id)
		case cached.UID == c.uid && cached.ResourceVersion == c.version:
			cached.applied = c.hash
		}
	}
	return done
}

// forgetChildren drops what is remembered of some children.
func (m *Memory) forgetChildren(parent types.UID, ids []ChildID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return
	}
	for _, id := range ids {
		if c := p.children[id]; c != nil && c.writing.n == 0 {
			delete(p.children, id)
		}
	}
}

// isGone reports whether the object of that UID was deleted by us.
func (m *Memory) isGone(parent types.UID, id ChildID, uid types.UID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return false
	}
	c := p.children[id]
	return c != nil && c.gone && c.uid == uid
}

// clear forgets everything, and returns how the children were counted.
func (m *Memory) clear() (total counts) {
	m.mu.Lock()
	for _, p := range m.parents {
		total = total.plus(p.counts)
	}
	clear(m.parents)
	clear(m.byKey)
	clear(m.asking)
	m.mu.Unlock()
	m.Brake.reset(time.Time{})
	m.Rollout.clear()
	m.fights.clear()
	m.events.clear()
	m.Attention.clear()
	m.notReady.clear()
	m.goingChildren.clear()
	return total
}
