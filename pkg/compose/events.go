package compose

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// ParentUID is the UID of the parent whose mark an object carries; empty if it carries none.
func ParentUID(object handlers.Object) types.UID {
	return types.UID(object.Metadata().Labels[ParentUIDLabel])
}

// OnChild calls add, at once or later, for the parents that a changed child is about: the one whose
// mark it carries or has carried, and those that are refused because of it. An event that is that
// of a write of ours is left out, as that write's own call goes on with the answer.
func (r *Reconciler) OnChild(e kube.Event, add func(kube.Key)) { r.onChild(e.Old(), e.Now(), add) }

// onChild is OnChild for a child before and after its change; nil where there is none.
func (r *Reconciler) onChild(old, now handlers.Object, add func(kube.Key)) {
	event := heldEvent{deleted: now == nil}
	switch {
	case now != nil:
		event.uid, event.version = now.UID(), now.ResourceVersion()
	case old != nil:
		event.uid = old.UID()
	}
	var id ChildID
	seen := map[types.UID]bool{}
	for _, object := range []handlers.Object{now, old} {
		if object == nil {
			continue
		}
		id = ChildID{Kind: object.GroupVersionKind().GroupKind(), Namespace: object.Namespace(), Name: object.Name()}
		labels := object.Metadata().Labels
		parent := types.UID(labels[ParentUIDLabel])
		if parent != "" && now == nil && slices.Contains(r.Moves.donorsOf(r.Definition), labels[DefinitionLabel]) {
			if _, there := r.Parents.GetByUID(parent); there {
				noteFinished(r, parent, old) // The donor may not have said so yet.
			}
		}
		if parent == "" || seen[parent] || !r.Identity.has(labels[DefinitionLabel]) {
			continue
		}
		seen[parent] = true
		event.notify = func() {
			if _, there := r.Parents.GetByUID(parent); there && now == nil {
				noteFinished(r, parent, old)
			}
			r.addParent(parent, add)
		}
		if !r.Memory.ownEvent(parent, id, event) {
			event.notify()
		}
	}
	if id.Name != "" {
		callWaiting(r, id, add)
	}
}

func (r *Reconciler) addParent(uid types.UID, add func(kube.Key)) {
	if parent, ok := r.Parents.GetByUID(uid); ok {
		add(kube.Key{Namespace: parent.Namespace(), Name: parent.Name()})
	}
}

// OwnEvent reports whether an event of a parent is that of a write of ours, which calls for
// nothing. While that cannot be known, it returns true too, and calls add later if it is not.
func (r *Reconciler) OwnEvent(e kube.Event, add func(kube.Key)) bool {
	return r.ownEvent(e.Now(), add)
}

// ownEvent is OwnEvent for a parent after its change, nil if it is gone.
func (r *Reconciler) ownEvent(now handlers.Object, add func(kube.Key)) bool {
	if now == nil {
		return false
	}
	key := kube.Key{Namespace: now.Namespace(), Name: now.Name()}
	return r.Memory.ownParentEvent(now.UID(), heldEvent{
		uid: now.UID(), version: now.ResourceVersion(), notify: func() { add(key) },
	})
}

// waiting are the parents that are refused an object, by that object.
type waiting struct {
	mu      sync.Mutex
	parents map[ChildID]map[kube.Key]struct{}
	objects map[kube.Key][]ChildID
}

func newWaiting() *waiting {
	return &waiting{parents: map[ChildID]map[kube.Key]struct{}{}, objects: map[kube.Key][]ChildID{}}
}

// set notes what a parent is refused, in place of what it was before.
func (w *waiting) set(parent kube.Key, ids []ChildID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(parent)
	if len(ids) == 0 {
		return
	}
	w.objects[parent] = ids
	for _, id := range ids {
		if w.parents[id] == nil {
			w.parents[id] = map[kube.Key]struct{}{}
		}
		w.parents[id][parent] = struct{}{}
	}
}

func (w *waiting) remove(parent kube.Key) {
	for _, id := range w.objects[parent] {
		delete(w.parents[id], parent)
		if len(w.parents[id]) == 0 {
			delete(w.parents, id)
		}
	}
	delete(w.objects, parent)
}

func (w *waiting) forget(parent kube.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(parent)
}

func (w *waiting) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.parents)
	clear(w.objects)
}

// on returns the parents that wait for an object.
func (w *waiting) on(id ChildID) []kube.Key {
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []kube.Key
	for key := range w.parents[id] {
		keys = append(keys, key)
	}
	return keys
}

// counts are the children of parents by their state, and the parents that are in a state besides.
type counts struct {
	ready, notReady, refused, held, paused, moving, patched, patchesWaiting, patchesRefused int
	obstacles                                                                               obstacles
}

// obstacles are children and patches that are refused, by what stands against them.
type obstacles struct{ rights, admission, other int }

// obstacleOf counts one that is refused for a reason.
func obstacleOf(reason Reason, text string) obstacles {
	switch {
	case reason != reasonForbidden:
		return obstacles{other: 1}
	case kube.SaysRightIsMissing(text):
		return obstacles{rights: 1}
	default:
		return obstacles{admission: 1}
	}
}

func (o obstacles) plus(with obstacles) obstacles {
	return obstacles{rights: o.rights + with.rights, admission: o.admission + with.admission, other: o.other + with.other}
}

func (c counts) plus(o counts) counts {
	return counts{
		ready: c.ready + o.ready, notReady: c.notReady + o.notReady, refused: c.refused + o.refused,
		held: c.held + o.held, paused: c.paused + o.paused, moving: c.moving + o.moving,
		patched: c.patched + o.patched, patchesWaiting: c.patchesWaiting + o.patchesWaiting, patchesRefused: c.patchesRefused + o.patchesRefused,
		obstacles: c.obstacles.plus(o.obstacles),
	}
}

func (c counts) negative() counts {
	return counts{
		ready: -c.ready, notReady: -c.notReady, refused: -c.refused, held: -c.held, paused: -c.paused, moving: -c.moving,
		patched: -c.patched, patchesWaiting: -c.patchesWaiting, patchesRefused: -c.patchesRefused,
		obstacles: obstacles{rights: -c.obstacles.rights, admission: -c.obstacles.admission, other: -c.obstacles.other},
	}
}

// count changes what is counted.
func (r *Reconciler) count(by counts) {
	r.Memory.children.add(by)
	r.Metrics.Children(by.ready, by.notReady, by.refused)
	r.Metrics.Held(by.held)
	r.Metrics.Paused(by.paused)
	r.Metrics.Moving(by.moving)
	r.Metrics.Patches(by.patched, by.patchesWaiting, by.patchesRefused)
	r.Metrics.Obstacles(by.obstacles.rights, by.obstacles.admission, by.obstacles.other)
}

// note counts the children, and remembers what the parent waits for. held is true when the brake
// counts the parent. What the pass has not found out is counted as before: when the composer fails,
// nothing of what exists has changed.
func (p *pass) note(held bool) {
	var now counts
	if held {
		now.held = 1
	}
	if p.err != nil && p.ops == nil {
		p.count(recount(p.Memory, p.parent.UID, func(before *counts) { before.held = now.held }))
		return
	}
	var refused []ChildID
	for _, op := range p.ops {
		switch {
		case op.Action == Refuse || p.failed[op.ID] != nil:
			now.refused++
			refused = append(refused, op.ID)
			if failure := p.failed[op.ID]; failure != nil {
				now.obstacles = now.obstacles.plus(obstacleOf(failure.reason, failure.Error()))
			} else {
				now.obstacles = now.obstacles.plus(obstacleOf(op.Reason, op.Message))
				p.Metrics.Refused(string(op.Reason))
			}
		case op.Desired == nil:
		case op.Ready:
			now.ready++
		default:
			now.notReady++
		}
		switch {
		case op.Action == Skip:
			p.Metrics.Skipped()
		case op.Reason == ReasonMoving:
			now.moving++
		}
	}
	noteRefused(p.Memory, p.parent.UID, refused)
	p.waiting.set(p.key, append(refused, p.patches.note(&now)...))
	p.count(recount(p.Memory, p.parent.UID, func(before *counts) {
		if p.patches.ops == nil && (p.err != nil || p.unsettled) { // They were not looked at.
			now.patched, now.patchesWaiting, now.patchesRefused = before.patched, before.patchesWaiting, before.patchesRefused
		}
		*before = now
	}))
}

// reference is the parent as events name it. It has no version, so that the same event about it is
// counted in a series, and not made anew.
func (c *current) reference() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(c.Kind)
	u.SetNamespace(c.parent.Namespace)
	u.SetName(c.parent.Name)
	u.SetUID(c.parent.UID)
	return u
}

// referenceTo is a child as events name it.
func (c *current) referenceTo(id ChildID) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	if source, ok := c.sourceOf(id); ok {
		u.SetGroupVersionKind(source.GroupVersionKind())
		if child, there := source.Source.Get(id.Namespace, id.Name); there {
			u.SetUID(child.UID())
		}
	} else if source, ok := patchSourceOf(c.Patched, id); ok {
		u.SetGroupVersionKind(source.GroupVersionKind())
	}
	u.SetNamespace(id.Namespace)
	u.SetName(id.Name)
	return u
}

// noteRefused notes which children of a parent are counted as refused, and refusedTo returns them.
// The next revision, which counts on, has to know them.
func noteRefused(m *Memory, parent types.UID, children []ChildID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(parent).refused = slices.Clip(children)
}

func refusedTo(m *Memory, parent types.UID) []ChildID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(parent).refused
}

// recount changes how a parent is counted, and returns what that changes of the sum. m is locked
// while change runs, so it must call nothing.
func recount(m *Memory, parent types.UID, change func(*counts)) (by counts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.of(parent)
	before := p.counts
	change(&p.counts)
	return p.counts.plus(before.negative())
}
