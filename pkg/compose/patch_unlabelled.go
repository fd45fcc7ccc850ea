package compose

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// findUnlabelled reads the objects to which the parent has contributed as far as is remembered, and
// is not to any more, where no cache shows them: they are gone, or somebody has taken PatchedLabel
// off them. Those that cannot be read are returned. all is false if kinds are not served, which
// keeps nothing waiting.
func (p patching) findUnlabelled(ctx context.Context) (failed []PatchOp, all bool) {
	all = true
	shown := map[ChildID]bool{}
	for _, o := range p.observe() {
		shown[o.ID] = true
	}
	for _, d := range p.patches.desired {
		shown[d.ID] = true
	}
	for _, id := range p.memory().otherPatches(p.parent.UID, shown) {
		source, ok := patchSourceOf(p.Patched, id)
		if !ok {
			continue
		}
		if isAbsent(source.Source) {
			all = false
			continue
		}
		object, err := getPatched(ctx, p.Client, patchTarget(p.Patched, source.GroupVersionKind(), id))
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			op := PatchOp{Action: Wait, ID: id}
			failure := p.fail("reading", op, err)
			p.patches.failed[id] = failure
			op.Reason, op.Message = failure.reason, failure.Error()
			failed = append(failed, op)
		default:
			if o := p.observed(object); len(o.Owned) > 0 {
				p.patches.live[id] = o
			}
		}
	}
	return failed, all
}

// otherPatches are the remembered patches with something of ours, but for some.
func (m patchMemories) otherPatches(parent types.UID, but map[ChildID]bool) (ids []ChildID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return nil
	}
	for id, c := range p.patches {
		if !but[id] && !c.gone && c.owned != nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids
}
