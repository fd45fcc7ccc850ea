package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// rolloutState is what a pass has to do with a rollout.
type rolloutState struct {
	held bool   // nothing of the parent is to be changed
	came ending // what to say at the end
	hash string // of what is desired; empty where that is not known
	// contributed is to how many objects the parent contributes as it is.
	contributed int
}

// ending is what came of a pass.
type ending int

// What may come of a pass. One that panics has failed.
const (
	passFailed  ending = iota // it is not known what is desired
	passNothing               // nothing was found out that is about the parent
	passApart                 // the parent is left alone, or is none any more
	passDone                  // it has found out how the parent is
)

// rolloutNote is said of a parent that is not ready.
const rolloutNote = "; while the parent is not ready, it counts against maxUnavailable of the rollout"

// BeginRollout notes that the Reconciler handles parents from now on, a few at a time where limits
// are given, until ctx ends. call asks for a pass.
func BeginRollout(ctx context.Context, r *Reconciler, limits *config.Rollout, metrics *telemetry.Rollout, call func(kube.Key)) {
	r.Memory.Rollout.begin(rolloutTerm{limits: limits, digest: r.Digest, metrics: metrics, call: call, exists: func() []kube.Key {
		var handled []kube.Key
		for _, key := range r.Parents.Keys() {
			if parent, ok := r.Parents.Get(key.Namespace, key.Name); ok && TakesPart(ctx, r, parent) {
				handled = append(handled, key)
			}
		}
		return handled
	}})
}

// TakesPart reports whether a parent in the cache is one of a rollout: it is not paused, nor being
// deleted, nor a child of the definition itself. Of others, no pass may ever say something: the
// last one may have come before the revision looks for its parents.
func TakesPart(ctx context.Context, r *Reconciler, parent handlers.Object) bool {
	m := parent.Metadata()
	return m.DeletionTimestamp == nil && !isPaused(m) && !isOwnChild(r, m) && !r.Where.excludes(ctx, parent)
}

// rolling is a pass of a definition whose parents may be changed a few at a time.
type rolling struct{ *pass }

// holds reports whether the parent is held, by the plan of this moment.
func (p rolling) holds(observed map[ChildID]observedChild, desired []*Desired) bool {
	gate := p.Memory.Rollout
	if !gate.isOn() || p.meta.DeletionTimestamp != nil {
		return false
	}
	var patches []PatchOp
	if len(p.Patched) > 0 {
		patches = patching(p).plan(patching(p).observe(), "")
	}
	p.rollout.hash, p.rollout.contributed = p.hashOf(desired), len(contributedTo(patches))
	if !Outdated(p.due()) && !OutdatedPatches(patches) {
		return false
	}
	return gate.holds(rolloutQuestion{
		key: p.key, uid: p.parent.UID, digest: p.Digest, desired: p.rollout.hash, generation: p.composed.Generation,
		ready: p.isReadyAsItIs(), since: p.notReadySince, wished: p.isWished,
		isNew: func() bool { return !p.hasChildren(observed) && len(contributedTo(patches)) == 0 && !p.wasHandled() },
	})
}

// rest is what a pass does for a parent that is held: it counts its children, and remembers what of
// the change would be deletions, which the brake does not count when they come.
func (p rolling) rest() handlers.Result {
	held := lookAtBrake(p.pass)
	p.recount(held)
	p.Memory.Brake.defers(p.parent.UID, p.ops, p.now(), func(op Op) bool {
		return isDelete(op) && len(p.composition.Pending) == 0 // What is pending may be that child.
	})
	result := handlers.Result{RequeueAfter: p.composition.RequeueAfter}
	if held {
		again(&result, heldInterval)
	}
	return result
}

// recount counts the children as they are, and whether the brake counts the parent. What is refused
// or contributed is as it was when the parent was last brought in line: nothing of it has been
// tried since. After a restart, it is known what is contributed. Whether a child is ready may be a
// plugin's to say, so that is asked before the Memory is locked.
func (p rolling) recount(held bool) {
	refused := refusedTo(p.Memory, p.parent.UID)
	var found counts
	if held {
		found.held = 1
	}
	for _, op := range p.ops {
		if op.Reason == ReasonMoving {
			found.moving++
		}
		if !p.isOwn(op) || slices.Contains(refused, op.ID) {
			continue
		}
		if ready, _ := isChildReady(op); ready {
			found.ready++
		} else {
			found.notReady++
		}
	}
	p.count(recount(p.Memory, p.parent.UID, func(now *counts) {
		now.ready, now.notReady, now.moving, now.held = found.ready, found.notReady, found.moving, found.held
		if now.patched+now.patchesWaiting+now.patchesRefused == 0 {
			now.patched = p.rollout.contributed
		}
	}))
}

// say says how the parent is, at the end of a pass.
func (p rolling) say() {
	if !p.Memory.Rollout.isOn() || p.rollout.came == passNothing || p.lost {
		return
	}
	w := rolloutWord{
		key: p.key, uid: p.parent.UID, digest: p.Digest, desired: p.rollout.hash, generation: p.composed.Generation, since: p.notReadySince,
		apart: p.rollout.came == passApart || p.composed.DeletionTimestamp != nil, held: p.rollout.held,
	}
	if p.rollout.came == passDone && p.err == nil && !p.rollout.held {
		w.current = !Outdated(p.due()) && !OutdatedPatches(p.patches.ops) && !p.unsettled && w.desired != ""
		w.ready = w.current && p.conditions()[0].status
	}
	p.Memory.Rollout.say(w)
}

// due are the ops of the plan that are carried out. While a child cannot be told, nothing is
// deleted: what seems not to be desired may be that child.
func (p rolling) due() []Op {
	if len(p.composition.Pending) == 0 {
		return p.ops
	}
	return slices.DeleteFunc(slices.Clone(p.ops), isDelete)
}

// hashOf is the hash of all that is desired.
func (p rolling) hashOf(desired []*Desired) string {
	sum := sha256.New()
	for _, d := range desired {
		_, _ = fmt.Fprintf(sum, "%s %s %s\n", d.ID.Kind.Group, d.ID, d.hash) // A hash takes everything.
	}
	for _, d := range p.patches.desired {
		_, _ = fmt.Fprintf(sum, "patch %s %s %s\n", d.ID.Kind.Group, d.ID, d.hash)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// isOwn reports whether an op is about an object that the definition has made for the parent.
func (p rolling) isOwn(op Op) bool {
	o := op.Observed
	return o != nil && o.marks.parentUID == p.parent.UID && o.marks.installation == p.Installation && p.Identity.has(o.marks.definition)
}

// hasChildren reports whether something was made for the parent that is the definition's, or may
// become so.
func (p rolling) hasChildren(observed map[ChildID]observedChild) bool {
	donors := p.Moves.donorsOf(p.Definition)
	for _, o := range observed {
		if o.marks.parentUID == p.parent.UID && o.marks.installation == p.Installation &&
			(p.Identity.has(o.marks.definition) || slices.Contains(donors, o.marks.definition)) {
			return true
		}
	}
	return false
}

// contributedTo are the objects to which the parent contributes already.
func contributedTo(ops []PatchOp) (ids []ChildID) {
	for _, op := range ops {
		if op.Observed != nil && len(op.Observed.Owned) > 0 {
			ids = append(ids, op.ID)
		}
	}
	return ids
}

// noted adds to the conditions that the parent counts for those that are held.
func (p rolling) noted(all []condition) []condition {
	if len(all) == 3 && !all[0].status && all[1].status && p.Memory.Rollout.isOn() {
		all[1].message += rolloutNote
	}
	return all
}
