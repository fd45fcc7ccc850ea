package compose

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// maxDeleteTries is how often a delete is tried against states that turn out to be old.
const maxDeleteTries = 3

// executor carries out what is planned for one parent.
type executor struct {
	*observer
	failed map[ChildID]*opError // what could not be done in this pass
	trace  *trace               // nil unless somebody wants to know
}

// execute creates, applies and reads. It returns whether that has changed what is observed.
func (x *executor) execute(ctx context.Context, ops []Op) (changed bool) {
	var mu sync.Mutex
	var running errgroup.Group // not one that ends with the first error: children are independent
	running.SetLimit(writesAtOnce)
	for _, op := range ops {
		switch op.Action {
		case Create, Apply, Adopt, HandOver, Recreate, Read:
		default:
			continue
		}
		mu.Lock()
		_, again := x.live[op.ID]
		mu.Unlock()
		running.Go(func() error {
			seen, failure := x.carryOut(ctx, op, again)
			mu.Lock()
			defer mu.Unlock()
			if seen == nil { // Else it has turned out that something else is to be done.
				x.trace.child(op, failure)
			}
			if failure != nil && failure.reason == reasonTerminating && op.Action == Create {
				noteTerminating(x.Memory, x.parent.UID, op.ID.Namespace, x.now())
				failure = nil // The next plan leaves it out.
			}
			if failure != nil && ctx.Err() == nil {
				x.failed[op.ID] = failure
			}
			if seen != nil {
				x.live[op.ID] = *seen
			} else if failure == nil {
				delete(x.live, op.ID)
			}
			changed = changed || failure == nil
			return nil
		})
	}
	_ = running.Wait() // No function returns an error.
	x.rememberRead(ops)
	return changed
}

// carryOut does what an op says. It returns what it has read past the caches, or why it failed.
// again is true when the object has been read in this pass before.
func (x *executor) carryOut(ctx context.Context, op Op, again bool) (*observedChild, *opError) {
	var failure *opError
	switch op.Action {
	case Read:
		return x.read(ctx, op, op.Reason == ReasonDrift)
	case Recreate:
		return x.recreate(ctx, op)
	case HandOver:
		failure = x.handOver(ctx, op)
	default:
		if failure = x.takeOver(ctx, &op); failure == nil {
			failure = x.apply(ctx, op)
		}
	}
	switch {
	case mayBeRecreated(op, failure):
		return x.tryRecreate(ctx, op, failure)
	case failure == nil || failure.reason != reasonStale:
		return nil, failure
	case again:
		return nil, failure // It has just been read: whoever changes it all the time has to end first.
	}
	return x.read(ctx, op, false)
}

// apply creates or changes a child.
func (x *executor) apply(ctx context.Context, op Op) *opError {
	d := op.Desired
	body, err := x.body(ctx, op)
	if err != nil {
		return &opError{reason: reasonInvalid, err: err}
	}
	x.Memory.beginWrite(x.parent.UID, op.ID)
	answer, err := x.Client.apply(ctx, x.target(d.Kind, op.ID), body, op.force())
	if err != nil && ofCreateManager(err) {
		answer, err = x.Client.apply(ctx, x.target(d.Kind, op.ID), body, true)
	}
	if err != nil {
		answer = nil
	}
	x.Memory.endWrite(x.parent.UID, op.ID, d.hash, answer)
	if err != nil {
		failure := failed("applying", op.ID, err)
		if op.Action == Create && d.generate != nil {
			failure.err = fmt.Errorf("applying %s: %w", op.ID, withoutValues(err))
		}
		if failure.reason != reasonStale {
			x.Metrics.Failed(string(failure.reason))
		}
		return failure
	}
	if fields := op.drift; op.Action != Create || x.Memory.fights.made(x.parent.UID, op.ID) {
		x.Memory.fights.revert(x.parent.UID, op.ID, d.hash, fields, x.now())
	}
	x.Metrics.Applied(string(op.Reason))
	x.tellAdopted(op)
	x.Logger.V(1).Info("applied child", "child", op.ID.String(), "reason", op.Reason, "parent", x.parent.text())
	return nil
}

// read reads an object past the caches, whole or as the caches have it. One that is not there is no
// failure.
func (x *executor) read(ctx context.Context, op Op, whole bool) (*observedChild, *opError) {
	t := x.target(op.Desired.Kind, op.ID)
	if t.metadataOnly = t.metadataOnly && !whole; adopts(op.Desired.Policy) {
		return x.readLive(ctx, t, op.ID)
	}
	object, err := x.Client.get(ctx, t)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there is none, and that is no failure
	}
	if err != nil {
		return nil, failed("reading", op.ID, err)
	}
	o := observe(object, t.metadataOnly)
	return &o, nil
}

func failed(doing string, id ChildID, err error) *opError {
	reason := reasonFor(err)
	if reason == ReasonConflict {
		err = fmt.Errorf("%s: %w", conflictText(err, "child"), err)
	}
	return &opError{reason: reason, err: fmt.Errorf("%s %s: %w", doing, id, err)}
}

// rememberRead remembers of children that were read whole that they are as desired, so that the
// next call need not read them again.
func (x *executor) rememberRead(ops []Op) {
	for _, op := range ops {
		o, read := x.live[op.ID]
		if op.Action == Skip && op.Desired != nil && read && o.Whole {
			x.Memory.remember(x.parent.UID, op.ID, o.UID, o.ResourceVersion, op.Desired.hash)
		}
	}
}

// executeDeletes deletes what the plan says, and reports whether there was something that could be.
func (x *executor) executeDeletes(ctx context.Context, ops []Op, observed map[ChildID]observedChild) (deleted bool) {
	left := map[string]ChildID{} // by namespace, one that is not deleted
	for _, i := range inDeleteOrder(ops) {
		op := ops[i]
		if op.Action != Delete || ctx.Err() != nil {
			continue
		}
		if child, ok := left[op.ID.Name]; ok && op.ID.Kind == namespaceGroupKind {
			ops[i].Action, ops[i].Reason, ops[i].Message = Wait, ReasonInUse, fmt.Sprintf("%s is in it, and could not be deleted", child)
			continue
		}
		delete(x.live, op.ID) // It is going to be another one, or none.
		failure := x.delete(ctx, observed[op.ID])
		if x.trace.child(op, failure); failure != nil {
			x.failed[op.ID], left[op.ID.Namespace] = failure, op.ID
			ops[i].Action, ops[i].Reason, ops[i].Message = Wait, failure.reason, failure.Error()
			continue
		}
		if now, another := x.live[op.ID]; another {
			left[op.ID.Namespace] = op.ID
			if ops[i] = x.unwanted(now.Observed); ops[i].Action == Delete {
				ops[i].Action = Wait // It is another object, which is proven anew.
			}
		}
		deleted = true
	}
	return deleted
}

// delete deletes a child in the version that was proven to be ours. If it turns out to be another
// version, it is read and proven anew.
func (x *executor) delete(ctx context.Context, o observedChild) *opError {
	t := x.target(o.kind, o.ID)
	for try := 0; ; try++ {
		x.Memory.beginWrite(x.parent.UID, o.ID)
		left, err := x.Client.delete(ctx, t, o.UID, o.ResourceVersion)
		gone := err == nil && left == nil || apierrors.IsNotFound(err)
		if left != nil {
			x.Memory.endWrite(x.parent.UID, o.ID, "", left)
		} else {
			x.Memory.endDelete(x.parent.UID, o.ID, o.UID, gone)
		}
		if err != nil && gone {
			forgetGone(x, o.Observed)
		}
		switch {
		case err == nil:
			x.Metrics.Deleted()
			x.Logger.V(1).Info("deleted child", "child", o.ID.String(), "parent", x.parent.text())
			return nil
		case gone:
			return nil
		case !apierrors.IsConflict(err) || try == maxDeleteTries-1:
			failure := failed("deleting", o.ID, err)
			x.Metrics.Failed(string(failure.reason))
			return failure
		}
		object, err := x.Client.get(ctx, t)
		if apierrors.IsNotFound(err) {
			x.Memory.beginWrite(x.parent.UID, o.ID)
			x.Memory.endDelete(x.parent.UID, o.ID, o.UID, true)
			forgetGone(x, o.Observed)
			return nil
		}
		if err != nil {
			return failed("reading", o.ID, err)
		}
		now := observe(object, t.metadataOnly)
		if now.UID != o.UID || x.unwanted(now.Observed).Action != Delete {
			x.live[o.ID] = now
			return nil // It is not ours any more, or is kept.
		}
		o = now
	}
}

// forgetGone drops what is remembered of a child that another party has deleted, unless a cache
// still has it: there is no event to come that would do so.
func forgetGone(x *executor, o *Observed) {
	source, ok := x.sourceOf(o.ID)
	if !ok {
		return
	}
	if now, there := source.Source.Get(o.ID.Namespace, o.ID.Name); !there || now.UID() != o.UID {
		x.Memory.forgetChildren(x.parent.UID, []ChildID{o.ID})
	}
}

// unwanted is what is to be done with an object, as it is now, that is not desired.
func (x *executor) unwanted(o *Observed) Op {
	ops := Plan(Input{
		Installation: x.Installation, Definition: x.Definition, Formerly: x.Formerly, Parent: x.parent, Observed: []*Observed{o},
	})
	if len(ops) == 0 {
		return Op{Action: Skip, Reason: ReasonForeign, ID: o.ID, Observed: o, Message: notOurs(o)}
	}
	return ops[0]
}
