package compose

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// freePatches is how often a patch is set back at once that another party removes. Each further
// time takes twice as long as the one before, from firstDamping to lastDamping.
const freePatches = freeReverts

// patchMemory is what is remembered of one patch of a parent.
type patchMemory struct {
	childMemory
	owned *fieldpath.Set // what was ours after the last write
	delay patchDelay
}

// patchDelay is when a patch that does not hold may be tried again.
type patchDelay struct {
	hash    string   // of what is desired
	failure *opError // why the last try has failed; nil if it has not
	n       int      // tries in a row that failed, or that set back what another party had removed
	at      time.Time
	until   time.Time
}

// waits reports whether the last try has found no object that can be patched.
func (d *patchDelay) waits() bool {
	return d.failure != nil && (d.failure.reason == ReasonTargetAbsent || d.failure.reason == ReasonDeleting)
}

// patch returns what is remembered of a patch. The mutex of the Memory is held.
func (p *parentMemory) patch(id ChildID) *patchMemory {
	if p.patches == nil {
		p.patches = map[ChildID]*patchMemory{}
	}
	c := p.patches[id]
	if c == nil {
		c = &patchMemory{}
		p.patches[id] = c
	}
	return c
}

// patchMemories are what a Memory has of patches.
type patchMemories struct{ *Memory }

// beginPatch is called before a patch is written.
func (m patchMemories) beginPatch(parent types.UID, id ChildID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(parent).patch(id).writing.n++
}

// endPatch is called with the answer, nil for none, and the field manager of the parent. Events
// that came meanwhile and are of other states than that of the answer are passed on.
func (m patchMemories) endPatch(parent types.UID, id ChildID, hash, manager string, answer handlers.Object) {
	m.mu.Lock()
	c := m.of(parent).patch(id)
	if answer != nil {
		c.uid, c.version, c.hash, c.answer, c.gone = answer.UID(), answer.ResourceVersion(), hash, answer, false
		c.owned = kube.AppliedBy(answer)[manager]
	}
	held := c.writing.end()
	version := c.version
	if arrived(held, answer) {
		c.answer = nil
	}
	if answer != nil && c.owned == nil { // What nobody contributes to any more leaves the watch.
		held = slices.DeleteFunc(held, func(event heldEvent) bool { return event.deleted && event.uid == answer.UID() })
	}
	m.mu.Unlock()
	notify(held, answer, version)
}

// losePatch notes that the object of that UID is gone.
func (m patchMemories) losePatch(parent types.UID, id ChildID, uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.of(parent).patch(id)
	c.childMemory = childMemory{uid: uid, gone: true, writing: c.writing}
}

// ownPatchEvent reports whether an event is that of a write of ours, as ownEvent does.
func (m patchMemories) ownPatchEvent(parent types.UID, id ChildID, event heldEvent) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil || p.patches[id] == nil {
		return false
	}
	switch c := p.patches[id]; {
	case c.writing.n > 0:
		c.writing.held = append(c.writing.held, event)
		return true
	case event.deleted && c.uid == event.uid && c.version != "" && c.owned == nil:
		c.answer = nil // It has left the watch with what was ours.
		return true
	case event.deleted || c.gone || c.uid != event.uid || c.version != event.version:
		return false
	default:
		c.answer = nil // The cache has it.
		return true
	}
}

// recallPatches calls list, which reads the caches, and returns what is remembered of the patches
// of a parent besides, see recall.
func (m patchMemories) recallPatches(parent types.UID, sourceOf func(ChildID) (PatchSource, bool), list func()) map[ChildID]patchMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		list()
		return nil
	}
	all := make(map[ChildID]patchMemory, len(p.patches))
	for id, c := range p.patches {
		source, ok := sourceOf(id)
		if ok && c.answer != nil && source.Source.Reached(kube.Key{Namespace: id.Namespace, Name: id.Name}, c.version) {
			c.answer = nil
		}
		all[id] = *c
	}
	list()
	return all
}

// calmPatch forgets that a patch did not hold.
func (m patchMemories) calmPatch(parent types.UID, id ChildID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(parent).patch(id).delay = patchDelay{}
}

// findPatch notes that the object of that UID was read.
func (m patchMemories) findPatch(parent types.UID, id ChildID, uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.of(parent).patch(id)
	if c.delay.waits() {
		c.delay = patchDelay{}
	}
	if c.uid == uid {
		c.gone = false
	}
}

// forgetLost drops what is remembered of objects that are gone, when the caches do not have them
// any more.
func (m patchMemories) forgetLost(parent types.UID, ids []ChildID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	for _, id := range ids {
		if p != nil && p.patches[id] != nil && p.patches[id].gone {
			p.patches[id].gone = false
		}
	}
}

// hurryPatch lets a patch be tried at once whose object did not exist, or was being deleted.
func (m patchMemories) hurryPatch(parent kube.Key, id ChildID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[m.byKey[parent]]
	if p == nil || p.patches[id] == nil {
		return
	}
	if c := p.patches[id]; c.delay.waits() {
		c.delay = patchDelay{}
	}
}

// forgetPatches drops what is remembered of patches that are not desired any more, once the caches
// have what was written.
func (m patchMemories) forgetPatches(parent types.UID, desired []*DesiredPatch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return
	}
	wanted := map[ChildID]bool{}
	for _, d := range desired {
		wanted[d.ID] = true
	}
	for id, c := range p.patches {
		if !wanted[id] && c.answer == nil && c.writing.n == 0 && !c.gone {
			delete(p.patches, id)
		}
	}
}

// failPatch notes that a try has failed, so that the next one comes later than the last.
func (m patchMemories) failPatch(parent types.UID, d *DesiredPatch, failure *opError, now time.Time) {
	m.delayPatch(parent, d, failure, now, func(n int) time.Duration {
		if n == 1 && failure.reason == reasonForbidden {
			return fenceRetry
		}
		return min(firstSlowRetry<<min(n-1, 10), lastSlowRetry)
	})
}

// revertPatch notes that something was set back that another party had removed.
func (m patchMemories) revertPatch(parent types.UID, d *DesiredPatch, failure *opError, now time.Time) {
	m.delayPatch(parent, d, failure, now, func(n int) time.Duration {
		if n < freePatches {
			return 0
		}
		return min(firstDamping<<min(n-freePatches, 10), lastDamping)
	})
}

func (m patchMemories) delayPatch(parent types.UID, d *DesiredPatch, failure *opError, now time.Time, delay func(n int) time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := &m.of(parent).patch(d.ID).delay
	if before.hash != d.hash || now.Sub(before.at) > max(calmTime, 2*before.until.Sub(before.at)) {
		*before = patchDelay{hash: d.hash}
	}
	before.n++
	before.failure, before.at, before.until = failure, now, now.Add(delay(before.n))
}

// dampedPatches are those that are not to be tried yet, with why, and after how long the first of
// them may be; 0 for none. What is desired anew is tried at once.
func (m patchMemories) dampedPatches(parent types.UID, desired []*DesiredPatch, now time.Time) (damped map[ChildID]*opError, next time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return nil, 0
	}
	for _, d := range desired {
		c := p.patches[d.ID]
		if c == nil || c.delay.hash != d.hash || !now.Before(c.delay.until) {
			continue
		}
		if damped == nil {
			damped = map[ChildID]*opError{}
		}
		damped[d.ID] = c.delay.failure
		if wait := c.delay.until.Sub(now); next == 0 || wait < next {
			next = wait
		}
	}
	return damped, next
}
