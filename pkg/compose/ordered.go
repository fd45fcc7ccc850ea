package compose

import (
	"encoding/json"
	"fmt"
	"slices"
)

// orderOf is what a child remembers of the order, so that the order is known when its parent is
// deleted: the children it comes after, as a JSON list. It is empty if it comes after none.
func orderOf(after []string) string {
	if len(after) == 0 {
		return ""
	}
	text, err := json.Marshal(after)
	if err != nil {
		return "" // Texts can be encoded.
	}
	return string(text)
}

// rememberedOrder reads what orderOf has made. What somebody has made of it in between says
// nothing.
func rememberedOrder(text string) (after []string) {
	if json.Unmarshal([]byte(text), &after) != nil {
		return nil
	}
	return after
}

// inOrder makes deletes wait until the children that come after the object are gone. Objects that
// are not deleted keep none. In a cycle there is no order, so all go at once.
func inOrder(ops []Op) {
	before := map[string]ChildID{} // what waits, by name, and for which one
	for _, op := range ops {
		if op.Action != Delete && (op.Action != Wait || op.Reason != ReasonDeleting) {
			continue
		}
		for _, name := range op.Observed.marks.after {
			if _, known := before[name]; !known && name != op.Observed.marks.child {
				before[name] = op.ID
			}
		}
	}
	waits := func(op Op) bool {
		_, waits := before[op.Observed.marks.child]
		return op.Action == Delete && waits
	}
	goes := func(op Op) bool {
		return op.Action == Delete && !waits(op) || op.Action == Wait && op.Reason == ReasonDeleting
	}
	if !slices.ContainsFunc(ops, goes) {
		return
	}
	for i, op := range ops {
		if waits(op) {
			message := fmt.Sprintf("it waits until %s, which comes after it, is gone", before[op.Observed.marks.child])
			ops[i].Action, ops[i].Reason, ops[i].Message = Wait, ReasonAfter, message
		}
	}
}

// waits names what is still there of what was to be deleted: first what is going, with the
// finalizer that it waits for, and then what waits for that. stuck is what a person may have to see
// to.
func waits(ops []Op, now map[ChildID]observedChild) (left []string, stuck []trouble) {
	var later []string
	for _, op := range ops {
		o, there := now[op.ID]
		switch {
		case !there || op.Action != Delete && op.Action != Wait:
		case op.Reason == ReasonAfter:
			later = append(later, op.ID.String())
		default:
			left = append(left, op.ID.String()+waitingFor(o.Finalizers))
			if o.Deleting && len(o.Finalizers) > 0 {
				stuck = append(stuck, trouble{
					reason: string(ReasonDeleting), id: op.ID, message: fmt.Sprintf("%s is being deleted%s", op.ID, waitingFor(o.Finalizers)),
				})
			}
		}
	}
	slices.Sort(left)
	slices.Sort(later)
	return slices.Concat(left, later), stuck
}
