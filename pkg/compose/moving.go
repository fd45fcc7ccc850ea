package compose

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// movingPatience is for how long a child that is not desired any more may wait for another
// definition before the parent's status says so. Mostly, both handle the parent at the same time.
const movingPatience = 5 * time.Second

// fromDonor reports whether an object is a child that a donor has made.
func fromDonor(p *planner, o *Observed) bool {
	return slices.Contains(p.Donors, o.marks.definition) && (ownsLabel(o, DefinitionLabel) || o.Owned == nil)
}

// outOfReach decides on the child of a donor that is not to be taken over now. It returns false if
// it is.
func outOfReach(p *planner, o *Observed) (Op, bool) {
	kept, ok := p.Kept[o.ID]
	switch {
	case !ok || !fromDonor(p, o):
		return Op{}, false
	case kept.Wanted:
		return refuse(ReasonOtherParent, childOfAnother(p, o)+", which wants it itself"), true
	}
	return Op{Action: Wait, Reason: ReasonMoving, Message: kept.Message, NotReady: kept.Message}, true
}

// unmade decides on a child of which there is no object: it may have finished as that of a donor.
func unmade(p *planner, d *Desired) Op {
	if kept, ok := p.Kept[d.ID]; ok && d.finishes() {
		return Op{Action: Wait, Reason: ReasonMoving, Message: kept.Message, NotReady: kept.Message}
	}
	return p.Damped[d.ID].hold(d, nil, Op{Action: Create, Reason: ReasonAbsent, NotReady: "it does not exist yet", drift: []drift{{}}})
}

// parentRefOf is the parent of a pass.
func parentRefOf(c *current) parentRef {
	return parentRef{
		Parent: c.parent, key: c.key, labels: labelsOf(c.meta), state: stateOf(c.Installation, c.composed),
		version: c.meta.ResourceVersion, composed: c.composed.ResourceVersion,
	}
}

// labelsOf are the labels of an object of which they are known.
func labelsOf(meta *metav1.ObjectMeta) labels.Set {
	if meta.Labels == nil {
		return labels.Set{}
	}
	return meta.Labels
}

// moving is a pass of a definition between which and others children may move.
type moving struct{ *pass }

// keptByDonors says which of the desired children are not to be taken over from other definitions,
// or not to be made, because they may have finished there.
func (p moving) keptByDonors(donors []string, observed map[ChildID]observedChild, desired []*Desired) map[ChildID]Kept {
	if len(donors) == 0 {
		return nil
	}
	made := map[ChildID]string{}
	for _, d := range desired {
		if o, there := observed[d.ID]; there && slices.Contains(donors, o.marks.definition) {
			made[d.ID] = o.marks.definition
		}
	}
	unmade := slices.DeleteFunc(slices.Clone(desired), func(d *Desired) bool {
		_, there := observed[d.ID]
		return there || !d.finishes()
	})
	if !isCurrent(p.Moves, p.Definition, p.Digest) {
		return keptByOld(p.Definition, made, unmade)
	}
	kept := p.Moves.kept(p.Definition, parentRefOf(p.current), made)
	if len(unmade) == 0 {
		return kept
	}
	if _, waits := p.Moves.doneBy(p.Definition, parentRefOf(p.current)); waits != "" {
		for _, d := range unmade {
			kept[d.ID] = Kept{Message: waits}
		}
	}
	return kept
}

// keptByOld is keptByDonors of a revision that is not what the file says any more: it takes nothing
// over, and makes nothing that may have finished.
func keptByOld(id string, made map[ChildID]string, unmade []*Desired) map[ChildID]Kept {
	all := map[ChildID]Kept{}
	why := Kept{Message: fmt.Sprintf("it waits until definition %s works as the file says", id)}
	for of := range made {
		all[of] = why
	}
	for _, d := range unmade {
		all[d.ID] = why
	}
	return all
}

// claimedByHeirs says which objects are not to be deleted, because another definition takes them
// over, or may do so. With its parent, everything goes.
func (p moving) claimedByHeirs(observed map[ChildID]observedChild, desired []*Desired) map[ChildID]string {
	if !p.Moves.Concerns(p.Definition) || p.meta.DeletionTimestamp != nil {
		return nil
	}
	wanted := make(map[ChildID]bool, len(desired))
	for _, d := range desired {
		wanted[d.ID] = true
	}
	var objects []ChildID
	for id, o := range observed {
		if p.Identity.has(o.marks.definition) && !wanted[id] {
			objects = append(objects, id)
		}
	}
	about := parentRefOf(p.current)
	about.pending = p.err != nil || len(p.composition.Pending) > 0
	return p.Moves.claimed(p.Definition, about, objects)
}

// say reports to the donors and heirs of the definition what it wants of the parent. settled is
// false where the composer may want more, and noted where not all that has finished may be known.
func (p moving) say(ctx context.Context, settled, noted bool) {
	if ctx.Err() != nil || !p.Moves.Concerns(p.Definition) {
		return
	}
	report := passReport{digest: p.Digest, state: stateOf(p.Installation, p.composed), began: p.began, version: p.composed.ResourceVersion, noted: noted}
	report.failing = len(p.failed) > 0
	if report.known = settled && p.err == nil && len(p.composition.Pending) == 0; report.known {
		report.wants = map[ChildID]bool{}
	}
	if noted {
		report.done = p.done()
	}
	for _, op := range p.ops {
		if op.Desired == nil || !report.known {
			continue
		}
		report.wants[op.ID] = true
		if op.Desired.finishes() {
			report.outcomes = append(report.outcomes, outcome(op.Desired.hash, false))
		}
	}
	p.Moves.report(p.Definition, p.parent.UID, report)
}

// reportNothing reports to the donors and heirs that the definition wants no children of the
// parent, which is being deleted.
func (p moving) reportNothing() {
	if p.Moves.Concerns(p.Definition) {
		p.Moves.report(p.Definition, p.parent.UID, passReport{
			digest: p.Digest, state: stateOf(p.Installation, p.composed), began: momentOf(p.Moves), version: p.composed.ResourceVersion,
			known: true, noted: true, done: p.doneBefore(),
		})
	}
}

// keepNotes adds to what is to be noted that children have finished which are not desired any more
// and may go on as those of another definition.
func (f finishing) keepNotes(next map[string]string) {
	if !f.Moves.Concerns(f.Definition) {
		return
	}
	finished := f.done()
	notedBy := func(id string) map[string]string { return notedIn(f.current, DoneAnnotation(f.Installation, id)) }
	for _, op := range f.ops {
		if op.Reason != ReasonMoving || op.Desired != nil || !handlers.Finishes(op.ID.Kind) || !op.Observed.Whole {
			continue
		}
		if tree, err := op.Observed.Tree(); err == nil {
			if said := outcomeOf(op.ID.Kind, op.Observed.marks.applied, tree); said != "" {
				finished[op.Observed.marks.child] = said
			}
		}
	}
	for name, said := range finished {
		if _, noted := next[name]; !noted && f.Moves.needsNote(f.Definition, parentRefOf(f.current), said, notedBy) {
			next[name] = said
		}
	}
}

// waitsForHeir reports whether a child that is not desired any more waits for another definition.
func waitsForHeir(op Op) bool { return op.Reason == ReasonMoving && op.Desired == nil }

// movesSince returns since when children that are not desired any more wait for other definitions.
func movesSince(m *Memory, parent types.UID, waits bool, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.of(parent)
	switch {
	case !waits:
		p.moving = time.Time{}
	case p.moving.IsZero():
		p.moving = now
	}
	return p.moving
}

// lookAtMoves finds out whether the status is to say what waits for other definitions, and if not,
// after how long to look again; 0 for never.
func (p moving) lookAtMoves() (again time.Duration) {
	waits := slices.ContainsFunc(p.ops, waitsForHeir)
	now := p.now()
	if waited := now.Sub(movesSince(p.Memory, p.parent.UID, waits, now)); waits && waited < movingPatience {
		return movingPatience - waited
	}
	p.showsMoves = true
	return 0
}
