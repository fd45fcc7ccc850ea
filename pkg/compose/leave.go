package compose

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// siftedLeavers is how many parents of a namespace are looked at one by one. Where there are more,
// one list answers for all of them which do not exist any more.
const siftedLeavers = 5

// leave deletes the children of a parent that is not handled any more because it has left the
// selection by its own change, and removes the finalizer. The children of one that is gone are the
// garbage collector's.
func (p cleaning) leave(ctx context.Context) (handlers.Result, error) {
	stays := p.Memory.goingChildren.has(p.parent.UID)
	defer func() { attending{p.pass}.noteGoing(stays) }()
	if again := p.awaitsHeirs(); again > 0 {
		return handlers.Result{RequeueAfter: again}, nil
	}
	live, err := p.findLive(ctx)
	switch {
	case err != nil:
		return handlers.Result{}, slowly(err, p.req.Attempt)
	case live == nil:
		p.Leavers.drop(p.key)
		return handlers.Result{}, nil
	}
	p.setParent(live)
	p.composed = p.meta
	if p.all = p.meta.DeletionTimestamp == nil; !p.all || isPaused(p.meta) {
		p.Memory.Brake.release(p.parent.UID) // It is to lose nothing, or with the parent.
	}
	stays = p.all
	defer attending{p.pass}.sayLeft()
	if p.paused = isPaused(p.meta); p.paused {
		return handlers.Result{RequeueAfter: p.Leavers.again(p.key)}, nil // The end of it is no event.
	}
	if !p.mayWrite(ctx) {
		return handlers.Result{RequeueAfter: listedInterval}, ended(ctx)
	}
	if err := (patching{p.pass}).withdrawAll(ctx); err != nil {
		return handlers.Result{}, slowly(err, p.req.Attempt)
	}
	var left []string
	if !slices.Contains(p.meta.Finalizers, metav1.FinalizerOrphanDependents) {
		left, err = p.deleteSeenAndUnseen(ctx)
	}
	switch {
	case err != nil:
		return handlers.Result{}, slowly(err, p.req.Attempt)
	case len(left) > 0:
		return handlers.Result{RequeueAfter: p.lookAgain()}, nil
	}
	if p.hasFinalizer() {
		client, err := p.parentClient(ctx)
		if err == nil {
			err = kube.RemoveFinalizer(ctx, client, p.object, append(p.formerFinalizers(), p.finalizer())...)
		}
		if err != nil {
			return handlers.Result{}, err
		}
	}
	p.Leavers.drop(p.key)
	p.Logger.Info("a parent is not selected any more, and its children were deleted", "parent", p.parent.text())
	return handlers.Result{}, nil
}

// awaitsHeirs returns after how long to look at a parent again of which was found that it has left,
// and that its children wait for other definitions; 0 if it is to be looked at now. It takes no
// request.
func (p cleaning) awaitsHeirs() time.Duration {
	children, left := p.Leavers.awaitsHeirs(p.key, p.now())
	if left > 0 && p.meta.DeletionTimestamp == nil && p.allAwaited(children) {
		return min(left, lastLeaveInterval)
	}
	return 0
}

// allAwaited reports whether these children are still the definition's, and it is not known of any
// of them whether another definition takes it over.
func (p cleaning) allAwaited(children []ChildID) bool {
	observed := p.observeChildren()
	for _, id := range children {
		if o, there := observed[id]; !there || !p.Identity.has(o.marks.definition) {
			return false
		}
	}
	about := parentRef{Parent: p.parent, key: p.key} // What is known of its labels is how they were before.
	claims := heirClaims(p.Moves, p.Definition, about, children)
	return !slices.ContainsFunc(children, func(id ChildID) bool {
		claim, ok := claims[id]
		return !ok || claim.settled
	})
}

// lookAgain returns after how long to look at a parent again of which something is left. If other
// definitions decide on all of that, their report calls for it; what has no event, such as a
// deletion of a parent that is not selected, is seen by these looks.
func (p cleaning) lookAgain() time.Duration {
	var children []ChildID
	why := ""
	for _, op := range p.ops {
		switch {
		case waitsForHeir(op):
			children, why = append(children, op.ID), op.Message
		case op.Action == Delete || op.Action == Wait:
			return p.Leavers.again(p.key)
		}
	}
	if len(children) == 0 || !p.allAwaited(children) {
		return p.Leavers.again(p.key)
	}
	isNew := p.Leavers.awaitHeirs(p.key, children, p.now())
	if isNew {
		p.Logger.Info("a parent is not selected any more, and its children wait for another definition",
			"parent", p.parent.text(), "child", children[len(children)-1].String(), telemetry.KeyReason, why)
	}
	return lastLeaveInterval
}

// findLive returns the parent as it is now, if it exists and is not selected. It takes the right to
// list alone.
func (p cleaning) findLive(ctx context.Context) (handlers.Object, error) {
	if gone, err := p.sift(ctx); gone || err != nil {
		return nil, err
	}
	byName := fields.OneTermEqualSelector("metadata.name", p.parent.Name).String()
	live, err := p.listParent(ctx, query{kind: p.Kind, namespace: p.parent.Namespace, fields: byName, whole: p.Where != nil})
	if live == nil || err != nil {
		return nil, err
	}
	if !p.Selection.selects(ctx, live) {
		return live, nil
	}
	if p.Selection.Fields == nil {
		return nil, nil //nolint:nilnil // it is selected, and its event is going to come
	}
	q := p.Selection.query(p.parent.Namespace)
	q.fields += "," + byName
	selected, err := p.listParent(ctx, q)
	if selected != nil || err != nil {
		return nil, err
	}
	return live, nil
}

// listParent returns the parent if a list has it, or nil.
func (p cleaning) listParent(ctx context.Context, q query) (handlers.Object, error) {
	objects, _, err := p.Client.list(ctx, q)
	for _, object := range objects {
		if object.UID() == p.parent.UID {
			return object, err
		}
	}
	return nil, err
}

// sift drops those leavers of the parent's namespace that do not exist any more: where many parents
// were deleted at once, each is one. It reports whether the parent is among them.
func (p cleaning) sift(ctx context.Context) (gone bool, err error) {
	p.Leavers.sifting.Lock()
	defer p.Leavers.sifting.Unlock()
	unsifted := p.Leavers.unsifted(p.parent.Namespace)
	if _, ok := unsifted[p.key]; !ok || len(unsifted) <= siftedLeavers {
		return !p.Leavers.has(p.key, p.parent.UID), nil
	}
	objects, _, err := p.Client.list(ctx, query{kind: p.Kind, namespace: p.parent.Namespace})
	if err != nil {
		return false, err
	}
	for _, object := range objects {
		key := kube.Key{Namespace: object.Namespace(), Name: object.Name()}
		if unsifted[key] == object.UID() {
			p.Leavers.confirm(key, object.UID())
			delete(unsifted, key)
		}
	}
	for key, uid := range unsifted {
		if p.Leavers.has(key, uid) {
			p.Leavers.drop(key)
			p.forget(key, uid)
		}
	}
	return !p.Leavers.has(p.key, p.parent.UID), nil
}
