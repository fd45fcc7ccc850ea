package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// current is the parent of a pass as it is known.
type current struct {
	*Reconciler
	key    kube.Key
	object handlers.Object
	meta   *metav1.ObjectMeta
	parent Parent
	// composed is the metadata of the parent that the composer has seen last. What is known by now
	// may be newer.
	composed *metav1.ObjectMeta
	secrets  *redactor
	paused   bool   // the parent is left alone
	lagging  string // a namespace of related objects whose labels are not known yet; empty for none
	rollout  rolloutState
	said     []condition // those that were to be written last
}

func (c *current) setParent(object handlers.Object) {
	c.object, c.meta = object, object.Metadata()
	c.secrets.add(object)
	c.parent = Parent{
		Kind: c.Kind, Namespace: object.Namespace(), Name: object.Name(), UID: object.UID(),
	}
}

// pass is one call for one parent.
type pass struct {
	*executor
	req         handlers.Request
	composition handlers.Composition
	asked       *asked // nil before the first time
	began       uint64 // when the composer has been asked last, as Moves count
	rounds      int    // how often the composer has been asked
	err         error  // why the children are not known
	ops         []Op   // the last plan
	lost        bool   // the parent is gone, or the work is over before anything could be recorded
	unsettled   bool   // it took too many rounds
	fights      []fighting
	next        time.Duration // after which it is to be looked at again; 0 for never
	showsMoves  bool          // the status says what waits for other definitions
	patches     patches
	labels      labelState
}

func newPass(r *Reconciler, key kube.Key, req handlers.Request) *pass {
	c := &current{Reconciler: r, key: key, secrets: &redactor{}}
	c.setParent(r.Memory.newest(req.Object, r.Parents))
	c.composed = c.meta
	seen := &observer{current: c, live: map[ChildID]observedChild{}}
	return &pass{
		executor: &executor{observer: seen, failed: map[ChildID]*opError{}}, req: req,
		patches: patches{live: map[ChildID]*ObservedPatch{}, reread: map[ChildID]bool{}, failed: map[ChildID]*opError{}},
	}
}

// run brings the children and the status in line.
func (p *pass) run(ctx context.Context) (handlers.Result, error) {
	if p.meta.DeletionTimestamp != nil && (!p.Finalizes || !p.hasFinalizer()) {
		p.rollout.came = passApart
		return cleaning{pass: p}.cleanUp(ctx)
	}
	if isPaused(p.meta) {
		p.rollout.came = passApart
		return p.pause(ctx)
	}
	p.countPaused(0)
	lookAnew(p.Moves, p.Definition, p.parent.UID)
	settled, whole := p.makeRight(ctx)
	p.unsettled = !settled
	if err := ended(ctx); err != nil {
		return handlers.Result{}, err
	}
	if !whole {
		p.rollout.came = passNothing
		moving{p}.say(ctx, false, false)
		return handlers.Result{RequeueAfter: listedInterval}, nil
	}
	if handlers.IsUnavailable(p.err) { // That is not about the parent.
		p.rollout.came = passNothing
		countHeld(p, lookAtBrake(p))
		moving{p}.say(ctx, false, false)
		return handlers.Result{}, p.err
	}
	if p.rollout.came = passDone; p.rollout.held {
		moving{p}.say(ctx, false, false)
		return rolling{p}.rest(), nil
	}
	p.fights, p.next = p.lookAtFights(ctx, p.ops)
	waits := moving{p}.lookAtMoves()
	for _, next := range []time.Duration{p.patches.next, p.labels.again} {
		if next > 0 && (p.next == 0 || next < p.next) {
			p.next = next
		}
	}
	held := lookAtBrake(p)
	p.note(held)
	p.report(p.troubles(), p.err == nil, p.req.Attempt)
	if p.composed.DeletionTimestamp != nil && p.composition.Finalized && p.lag() == nil && p.childError() == nil {
		clear(p.patches.failed) // What could not be contributed can be withdrawn nevertheless.
		return cleaning{pass: p}.cleanUp(ctx)
	}
	noteErr := finishing{p}.remember(ctx)
	moving{p}.say(ctx, settled && noteErr == nil, noteErr == nil)
	statusErr := errors.Join(noteErr, p.writeStatus(ctx))
	if err := ended(ctx); err != nil {
		return handlers.Result{}, err
	}
	if err := p.firstError(); err != nil {
		return handlers.Result{}, sooner(withAnother(err, statusErr), p.next)
	}
	if statusErr != nil {
		return handlers.Result{}, slowly(statusErr, p.req.Attempt)
	}
	result := handlers.Result{RequeueAfter: p.composition.RequeueAfter}
	again(&result, p.next)
	again(&result, waits)
	again(&result, awaitsSameState(p.Moves, p.Definition, p.parent.UID, p.now()))
	if !settled || p.lag() != nil {
		again(&result, time.Second)
	}
	if awaitsNamespace(p.parent, p.ops) {
		again(&result, terminatingInterval)
	}
	if held {
		again(&result, heldInterval)
	}
	if isHeld(p.ops) {
		return result, nil
	}
	p.Memory.Brake.defers(p.parent.UID, p.ops, p.now(), waitsForHeir)
	if len(p.composition.Pending) == 0 {
		p.Memory.Brake.sweep(p.parent.UID, p.now())
	}
	return result, nil
}

// again asks for another call after d at the latest; 0 for no matter when.
func again(result *handlers.Result, d time.Duration) {
	if d > 0 && (result.RequeueAfter == 0 || result.RequeueAfter > d) {
		result.RequeueAfter = d
	}
}

// compose asks the composer what should exist. p.err says why that is not known.
func (p *pass) compose(ctx context.Context, observed map[ChildID]observedChild) []*Desired {
	p.composed, p.began = p.meta, momentOf(p.Moves)
	related, err := p.relate(ctx)
	if err != nil {
		p.err = err
		return nil
	}
	for _, objects := range related {
		p.secrets.addAll(objects)
	}
	noteAsking(ctx)
	p.composition, err = p.Composer.Compose(p.secrets.inContext(ctx), handlers.ComposeRequest{
		Object: p.object, Children: p.childrenFor(observed), Related: related,
		Cause: p.req.Cause, Attempt: p.req.Attempt, Finalizing: p.meta.DeletionTimestamp != nil,
	})
	for _, child := range p.composition.Children {
		p.secrets.addDesired(child.Object)
	}
	for _, patch := range p.composition.Patches {
		p.secrets.addDesired(patch.Object)
	}
	if pending, ok := errors.AsType[handlers.Pending](err); ok {
		p.composition.Pending, err = append(p.composition.Pending, pending), nil
	}
	p.composition.Pending = append(slices.Clip(p.composition.Pending), p.lag()...)
	if err != nil {
		p.err = &composeError{err: err}
		return nil
	}
	desired, err := p.desire(ctx, p.composition.Children, observed)
	if err = errors.Join(err, patching{p}.desire(ctx), labeling{p}.check()); err != nil {
		p.err = &composeError{err: err}
	}
	return desired
}

// desire makes what is desired of the composer's answer, which has seen what was observed. All
// mistakes in it come together.
func (p *pass) desire(ctx context.Context, children []handlers.Child, observed map[ChildID]observedChild) ([]*Desired, error) {
	m := maker{
		installation: p.Installation, definition: p.Definition, parent: p.parent, ordered: p.Ordered,
		kinds: map[schema.GroupVersionKind]ownedKind{}, existing: keepsEqual(p, observed),
	}
	for _, source := range p.Children {
		kind := source.GroupVersionKind()
		resource, err := p.Client.resource(ctx, kind)
		if err != nil {
			return nil, err
		}
		m.kinds[kind] = ownedKind{OwnedKind: source.OwnedKind, namespaced: resource.Namespaced}
	}
	desired := make([]*Desired, 0, len(children))
	var mistakes []error
	for _, child := range children {
		d, err := m.make(child)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		d.handled = handles(ctx, p.Reconciler, d.ID)
		desired = append(desired, d)
	}
	return desired, joinFirst(mistakes, "mistakes")
}

// plan plans, without what has failed in this pass.
func (p *pass) plan(observed map[ChildID]observedChild, desired []*Desired, hold, brake string) []Op {
	objects := make([]*Observed, 0, len(observed))
	for _, id := range slices.SortedFunc(maps.Keys(observed), compareIDs) {
		objects = append(objects, observed[id].Observed)
	}
	donors := p.Moves.donorsOf(p.Definition)
	ops := Plan(Input{
		Installation: p.Installation, Definition: p.Definition, Formerly: p.Formerly, Parent: p.parent,
		Donors: donors, Kept: moving{p}.keptByDonors(donors, observed, desired), Claimed: moving{p}.claimedByHeirs(observed, desired),
		Desired: desired, Observed: objects, Hold: hold, Brake: brake, Done: p.done(),
		Damped: p.Memory.fights.damped(p.parent.UID, desired, p.now()),
	})
	keepAroundHeirs(p.Moves, p.Definition, ops)
	p.leaveTerminating(ops)
	leaveUnmade(p, ops)
	for i, op := range ops {
		if failure := p.failed[op.ID]; failure != nil && op.Desired != nil && op.Action != Wait {
			ops[i].Action, ops[i].Reason, ops[i].Message = Refuse, failure.reason, failure.Error()
			ops[i].Ready, ops[i].NotReady = false, failure.Error()
		}
	}
	return ops
}

// prune deletes what is not desired any more, if all is well. It reports whether it has deleted
// something.
func (p *pass) prune(ctx context.Context) (deleted bool) {
	if len(p.failed) == 0 && !slices.ContainsFunc(p.ops, isDelete) {
		return false
	}
	observed := p.observeChildren()
	desired := make([]*Desired, 0, len(p.ops))
	for _, op := range p.ops {
		if op.Desired != nil {
			desired = append(desired, op.Desired)
		}
	}
	p.observeAt(observed, desired)
	hold := p.hold()
	p.ops = p.plan(observed, desired, hold, "")
	if slices.ContainsFunc(p.ops, isDelete) {
		brake, counted := p.pullBrake(p.ops)
		if brake != "" {
			p.ops = p.plan(observed, desired, hold, brake)
			return false
		}
		deleted = p.executeDeletes(ctx, p.ops, observed)
		p.tellPruned(p.ops)
		giveBack(p.current, counted, p.ops)
	}
	return deleted
}

func isDelete(op Op) bool { return op.Action == Delete }

// hold says why nothing may be deleted; empty if it may.
func (p *pass) hold() string {
	if len(p.composition.Pending) > 0 {
		return p.composition.Pending[0].Error()
	}
	for _, op := range p.ops {
		failure := p.failed[op.ID]
		switch {
		case failure != nil && op.Desired == nil:
			return fmt.Sprintf("%s could not be deleted", op.ID)
		case failure != nil:
			return fmt.Sprintf("%s could not be applied", op.ID)
		case op.Desired == nil:
		case op.Action == Refuse:
			return fmt.Sprintf("%s is refused", op.ID)
		case op.Reason == reasonTerminating:
			return fmt.Sprintf("%s is not there", op.ID)
		case op.Action == Create, op.Action == Apply, op.Action == Adopt, op.Action == HandOver, op.Action == Recreate, op.Action == Read:
			return fmt.Sprintf("%s is still to be applied", op.ID)
		}
	}
	now, there := p.Parents.GetByUID(p.parent.UID)
	if !there || now.Name() != p.parent.Name {
		return "the parent is gone"
	}
	return patching{p}.holdsPrune()
}

// firstError is what the call ends with: that of the composer, of the first child, of the parent's
// labels, or of a patch.
func (p *pass) firstError() error {
	if err := p.childError(); err != nil {
		return err
	}
	if failure := p.labels.failure; failure != nil && failure.reason != ReasonFight {
		return slowly(failure, p.req.Attempt)
	}
	return patching{p}.firstError()
}

// childError is firstError without the labels and patches.
func (p *pass) childError() error {
	if p.err != nil {
		if _, ok := errors.AsType[*composeError](p.err); ok && !handlers.IsTerminal(p.err) {
			return p.err
		}
		return slowly(p.err, p.req.Attempt)
	}
	var refused error
	for _, op := range p.ops {
		if failure := p.failed[op.ID]; failure != nil {
			return &childrenError{slowly(failure, p.req.Attempt)}
		}
		if op.Action == Refuse && op.Desired != nil && refused == nil {
			refused = &opError{reason: op.Reason, err: fmt.Errorf("child %s: %s", op.Desired.Name, op.Message)} //nolint:err113 // for a person
		}
	}
	if refused == nil {
		return nil
	}
	return &childrenError{slowly(refused, p.req.Attempt)}
}
