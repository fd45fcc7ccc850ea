package compose

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// lasting are the parents of a definition of which something goes on, with the time since when. It
// is safe for concurrent use, and keeps nothing of any other parent.
type lasting struct {
	mu     sync.Mutex
	since  map[types.UID]time.Time
	oldest time.Time // of since; zero if that is to be looked for
}

// has reports whether it goes on for a parent, as far as is known.
func (l *lasting) has(parent types.UID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.since[parent]
	return ok
}

// set notes since when it goes on for a parent; the zero time says that it does not.
func (l *lasting) set(parent types.UID, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, ok := l.since[parent]; ok && before.Equal(l.oldest) && (since.IsZero() || since.After(before)) {
		l.oldest = time.Time{} // Others may have begun then, too.
	}
	if since.IsZero() {
		if delete(l.since, parent); len(l.since) == 0 {
			l.since = nil // A map never shrinks.
		}
		return
	}
	if l.since == nil {
		l.since = map[types.UID]time.Time{}
	}
	if len(l.since) == 0 || !l.oldest.IsZero() {
		l.oldest = earlier(l.oldest, since)
	}
	l.since[parent] = since
}

func (l *lasting) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since, l.oldest = nil, time.Time{}
}

// longest is how long it has gone on for the parent for which that is longest; 0 where it is so for
// none, and for what begins later. It looks at all parents only if the first one has changed: the
// passes wait for that.
func (l *lasting) longest(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.since) == 0 {
		return 0
	}
	if l.oldest.IsZero() {
		for _, since := range l.since {
			l.oldest = earlier(l.oldest, since)
		}
	}
	return max(now.Sub(l.oldest), 0)
}

// Longest returns how long the parent has not been ready that has been so for longest, and how long
// ago the child was deleted that has been going for longest while its parent stays.
func Longest(m *Memory) (notReady, childDeletion time.Duration) {
	now := time.Now()
	return m.notReady.longest(now), m.goingChildren.longest(now)
}

func forgetLasting(m *Memory, parent types.UID) {
	m.notReady.set(parent, time.Time{})
	m.goingChildren.set(parent, time.Time{})
}

// noteLasting notes what goes on for the parent, of which these conditions are to be said. What has
// an alert of its own is not noted: a parent that is degraded, or is being deleted.
func (p attending) noteLasting(conditions []condition) {
	stays := p.meta.DeletionTimestamp == nil && !p.paused
	if p.err == nil {
		p.Memory.goingChildren.set(p.parent.UID, ifSo(stays, firstDeleted(p.ops)))
	} else { // The plan is an old one, if there is any.
		p.noteGoing(stays)
	}
	held := p.paused || p.rollout.held
	released := noteHeld(p.Memory, p.parent.UID, held, p.now())
	switch waits := stays && !held && isWaiting(conditions); {
	case !waits:
		p.Memory.notReady.set(p.parent.UID, time.Time{})
	case !p.Memory.notReady.has(p.parent.UID):
		p.Memory.notReady.set(p.parent.UID, p.waitsSince(released))
	}
}

func ifSo(is bool, since time.Time) time.Time {
	if is {
		return since
	}
	return time.Time{}
}

// isWaiting reports whether a parent is not ready, and not degraded either.
func isWaiting(conditions []condition) bool {
	has := func(kind string, status bool) bool {
		return slices.ContainsFunc(conditions, func(c condition) bool { return c.kind == kind && c.status == status })
	}
	return has(conditionReady, false) && !has(conditionDegraded, true)
}

// notReadySince is when the parent has ceased to be ready: what its status says, where kooperd has
// written that, so that another leader goes on with the time.
func (p attending) notReadySince() time.Time {
	c, ok := p.ownCondition(conditionReady)
	if at, err := time.Parse(time.RFC3339, c.LastTransitionTime); ok && err == nil && c.Status == truth(false) {
		return at
	}
	return p.now()
}

// waitsSince is since when the parent waits to be ready, and for nothing else. What its status says
// of the time before goes for another leader, too; what has held it is remembered here alone.
func (p attending) waitsSince(released time.Time) time.Time {
	since := p.notReadySince()
	if c, ok := p.ownCondition(conditionDegraded); ok {
		at, err := time.Parse(time.RFC3339, c.LastTransitionTime)
		if err != nil || c.Status != truth(false) {
			at = p.now() // It has been degraded until this pass.
		}
		since = later(since, at)
	}
	return later(since, released)
}

// release is the end of what keeps a parent from becoming ready: that it is paused, or held.
type release struct {
	awaited bool
	at      time.Time // of the last one; zero without any
}

// noteHeld notes whether a parent is paused or held, and returns when it last was.
func noteHeld(m *Memory, parent types.UID, held bool, now time.Time) (released time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.of(parent)
	if p.release.awaited && !held {
		p.release.at = now
	}
	p.release.awaited = held
	return p.release.at
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// noteUnknown notes what goes on for a parent of which it was not found out how it is. What fails
// is told by itself, so it is not one that waits; if it is, its status tells later since when.
func (p attending) noteUnknown(stays bool) {
	if !p.lost {
		p.Memory.notReady.set(p.parent.UID, time.Time{})
	}
	p.noteGoing(stays)
}

// noteGoing notes the children that are being deleted of a parent that stays. The caches know them,
// whatever else came of the pass.
func (p attending) noteGoing(stays bool) {
	if p.lost {
		return
	}
	if stays = stays && p.meta.DeletionTimestamp == nil && !isPaused(p.meta); !stays {
		p.Memory.goingChildren.set(p.parent.UID, time.Time{})
		return
	}
	in := Input{Installation: p.Installation, Definition: p.Definition, Formerly: p.Formerly, Parent: p.parent}
	for _, child := range p.observeChildren() {
		if child.Deleting {
			in.Observed = append(in.Observed, child.Observed)
		}
	}
	p.Memory.goingChildren.set(p.parent.UID, firstDeleted(Plan(in))) // What is not ours is not waited for.
}

// firstDeleted is when the first of the objects was deleted that are going; zero if none is.
func firstDeleted(ops []Op) (first time.Time) {
	for _, op := range ops {
		if op.Reason == ReasonDeleting && op.Observed != nil {
			first = earlier(first, op.Observed.deleted)
		}
	}
	return first
}

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
