package compose

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// OnPatched calls add, at once or later, for the parents that a changed object is about: those that
// have contributed to it, where that is not what it was, and those that wait for it. An event that
// is that of a write of ours is left out, as that write's own call goes on with the answer.
func OnPatched(r *Reconciler, e kube.Event, add func(kube.Key)) { onPatched(r, e.Old(), e.Now(), add) }

// onPatched is OnPatched for an object before and after its change; nil where there is none.
func onPatched(r *Reconciler, old, now handlers.Object, add func(kube.Key)) {
	event, object := heldEvent{deleted: now == nil}, now
	if now == nil {
		object = old
	} else {
		event.version = now.ResourceVersion()
	}
	if object == nil {
		return
	}
	event.uid = object.UID()
	id := ChildID{Kind: object.GroupVersionKind().GroupKind(), Namespace: object.Namespace(), Name: object.Name()}
	for _, parent := range concerned(r.Identity, old, now) {
		event.notify = func() { r.addParent(parent, add) }
		if !(patchMemories{r.Memory}).ownPatchEvent(parent, id, event) {
			event.notify()
		}
	}
	callWaiting(r, id, add)
}

// concerned are the parents of which something else is contributed to an object than before.
func concerned(identity Identity, old, now handlers.Object) (parents []types.UID) {
	before, after := kube.AppliedBy(old), kube.AppliedBy(now)
	add := func(manager string) {
		definition, parent, ok := ParsePatchManager(manager)
		if ok && identity.has(definition) && !slices.Contains(parents, parent) {
			parents = append(parents, parent)
		}
	}
	for manager, set := range after {
		if earlier := before[manager]; earlier == nil || earlier != set && !earlier.Equals(set) {
			add(manager)
		}
	}
	for manager := range before {
		if after[manager] == nil {
			add(manager)
		}
	}
	return parents
}

// callWaiting calls add for the parents that wait for an object.
func callWaiting(r *Reconciler, id ChildID, add func(kube.Key)) {
	for _, key := range r.waiting.on(id) {
		patchMemories{r.Memory}.hurryPatch(key, id)
		add(key)
	}
}

// note counts the patches, and returns the objects that are waited for.
func (p *patches) note(now *counts) (waits []ChildID) {
	for _, op := range p.ops {
		switch {
		case op.Desired == nil:
		case op.Action == Skip:
			now.patched++
		case p.isTrouble(op):
			now.patchesRefused++
			now.obstacles = now.obstacles.plus(obstacleOf(op.Reason, op.Message))
			waits = append(waits, op.ID)
		default:
			now.patchesWaiting++
			waits = append(waits, op.ID)
		}
	}
	return waits
}

// isTrouble reports whether a patch is not as it should be, and not because it waits.
func (p *patches) isTrouble(op PatchOp) bool {
	switch {
	case p.failed[op.ID] != nil, op.Action == Refuse:
		return true
	case op.Desired == nil || op.Action != Wait:
		return false
	default:
		return op.Reason != ReasonTargetAbsent && op.Reason != ReasonDeleting && op.Reason != ReasonAfter
	}
}

// sumUp adds the patches to the conditions.
func (p *patches) sumUp(block, progress, degrade func(Reason, string)) {
	for _, op := range p.ops {
		switch {
		case p.isTrouble(op):
			degrade(op.Reason, op.text())
			block(op.Reason, op.text())
		case op.Action == Skip:
		case op.Desired == nil:
			progress(op.Reason, op.text())
		default:
			block(op.Reason, op.text())
			progress(op.Reason, op.text())
		}
	}
}

// tellTroubles adds those of the patches.
func (p *patches) tellTroubles(add func(reason Reason, id ChildID, message string, err error)) {
	for _, op := range p.ops {
		if p.isTrouble(op) || op.Desired != nil && op.Reason == ReasonTargetAbsent && op.Action == Wait {
			var err error
			if failure := p.failed[op.ID]; failure != nil {
				err = failure
			}
			add(op.Reason, op.ID, op.text(), err)
		}
	}
}
