package compose

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/trigger"
)

// Where selects parents by what they are: it is the condition of a definition, unless that is about
// changes. A nil *Where selects all. It is safe for concurrent use.
type Where struct {
	condition *expression.Condition
	reads     kube.FieldMask
}

// NewWhere returns nil for a filter without a condition, and for one whose condition is about
// changes: it says what to look at, and not which parents are handled.
func NewWhere(filter *trigger.Filter) *Where {
	condition := filter.Where()
	if condition == nil || condition.IsAboutChanges() {
		return nil
	}
	return &Where{condition: condition, reads: kube.NewFieldMask(filter.Reads())}
}

// Text is the condition as it was written; empty for nil.
func (w *Where) Text() string {
	if w == nil {
		return ""
	}
	return w.condition.Text()
}

// excludes reports whether a parent is not handled. A condition that fails excludes none, and
// neither does one at the end of ctx. What is being deleted is cleaned up in any case.
func (w *Where) excludes(ctx context.Context, parent handlers.Object) bool {
	if w == nil || parent.Metadata().DeletionTimestamp != nil {
		return false
	}
	object, err := kube.Fields(parent, w.reads)
	if err != nil {
		return false
	}
	holds, err := w.condition.Holds(ctx, object, nil)
	return err == nil && !holds
}

// HasLeft reports whether a parent in the cache is to be called for although the condition does not
// select it: it was selected before, so it has left by its own change. changed is false when
// something else than the parent has changed: one that is looked at again anyway is not called for
// then.
func HasLeft(ctx context.Context, r *Reconciler, parent handlers.Object, changed bool) bool {
	if r.Moves.Concerns(r.Definition) && r.Where.excludes(ctx, parent) {
		r.Moves.report(r.Definition, parent.UID(), passReport{
			digest: r.Digest, state: stateOf(r.Installation, parent.Metadata()), began: momentOf(r.Moves), version: parent.ResourceVersion(),
			known: true, noted: true,
		})
	}
	key := kube.Key{Namespace: parent.Namespace(), Name: parent.Name()}
	if !changed && r.Leavers.isLookedAt(key, parent.UID()) {
		return false
	}
	leaving, excluded := leaves(ctx, r, key, parent)
	if apart := excluded || parent.Metadata().DeletionTimestamp != nil; apart && !leaving {
		r.Memory.Rollout.forget(key, parent.UID()) // It may wait for a call that never comes.
	}
	return leaving
}

// leaves reports whether the children of a parent are to be deleted because it is not handled any
// more, and whether the condition excludes it. One that it has always excluded is left alone, and
// so is one that is excluded since a change of the file.
func leaves(ctx context.Context, r *Reconciler, key kube.Key, parent handlers.Object) (leaving, excluded bool) {
	uid := parent.UID()
	if _, there := r.Parents.GetByUID(uid); !there {
		return r.Leavers.has(key, uid), false
	}
	if r.Where == nil {
		return false, false
	}
	parent = r.Memory.newest(parent, r.Parents)
	if !r.Where.excludes(ctx, parent) {
		return false, false
	}
	if wasSelected(r.Memory, uid, r.Where) {
		r.Leavers.Note(parent)
	}
	return r.Leavers.has(key, uid), true
}

// noteSelected notes that the condition has selected a parent that is remembered.
func noteSelected(m *Memory, parent types.UID, where *Where) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.parents[parent]; p != nil {
		p.selected = where.Text()
	}
}

// wasSelected reports whether a parent was selected by the very same condition when it was handled
// last.
func wasSelected(m *Memory, parent types.UID, where *Where) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	return p != nil && p.selected == where.Text()
}
