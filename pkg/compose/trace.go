package compose

import "slices"

// trace is what was done in a pass. A nil *trace notes nothing.
type trace struct {
	children []Op
	patches  []PatchOp
}

// child notes that an op was carried out, unless it has failed.
func (t *trace) child(op Op, failure *opError) {
	if t != nil && failure == nil && op.Action != Read {
		t.children = append(t.children, op)
	}
}

// patch is child for one that is about a patch.
func (t *trace) patch(op PatchOp, failure *opError) {
	if t != nil && failure == nil && op.Action != Read {
		t.patches = append(t.patches, op)
	}
}

// firstOf returns the first op that was carried out for an object, or false.
func (t *trace) firstOf(id ChildID) (Op, bool) {
	i := slices.IndexFunc(t.children, func(op Op) bool { return op.ID == id })
	if i < 0 {
		return Op{}, false
	}
	return t.children[i], true
}

// firstPatchOf is firstOf for patches.
func (t *trace) firstPatchOf(id ChildID) (PatchOp, bool) {
	i := slices.IndexFunc(t.patches, func(op PatchOp) bool { return op.ID == id })
	if i < 0 {
		return PatchOp{}, false
	}
	return t.patches[i], true
}
