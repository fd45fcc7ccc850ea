package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/offline"
)

// planning works out one definition.
type planning struct {
	*Trials
	run      *planRun
	found    *PlannedDefinition
	snapshot *offline.Snapshot
	answers  *offline.Answers // nil where each object is worked out once
	parents  []*unstructured.Unstructured
}

func (r *planRun) newPlanning(def config.Definition) *planning {
	d := &planning{
		run: r, found: &PlannedDefinition{Definition: def, State: PlanDone},
		Trials: &Trials{
			Definition: def, Installation: r.Installation, Finder: r.Finder, Live: r.Live, Logger: logr.Discard(),
			planned: &plannedOf{moves: r.moves},
		},
	}
	if def.Handler.Composes() && r.moves.Concerns(def.IDs()[0]) {
		d.answers = &offline.Answers{}
	}
	return d
}

func (d *planning) close() { _ = d.Close() } // What it has made is for this plan alone.

// begin reads what the definition reads. The error is the end of everything.
func (d *planning) begin(ctx context.Context) error {
	def := d.Definition
	switch allowed := d.allow(); {
	case def.Paused:
		d.found.State = PlanPaused
		return nil
	case def.Watch.Kind.Kind == "":
		d.found.State = PlanEffects
		return nil
	case !allowed:
		n, err := d.run.lists.count(ctx, parentsQuery(d.Trials))
		if err != nil {
			d.found.State, d.found.Why = PlanDone, ""
			d.found.fail(err)
		}
		d.found.Objects = n
		return context.Cause(ctx)
	}
	d.found.Foreseen = compose.Foresee(d.run.Records, def.IDs()[0], scopeOf(def, d.Installation))
	d.planned.former = slices.DeleteFunc(slices.Clone(d.found.Foreseen.Former), func(kind compose.OwnedRecord) bool {
		_, err := d.Finder.Kind(ctx, kind.GroupVersionKind())
		return kinds.IsNotServed(err) // It is looked at when it returns.
	})
	var all []*unstructured.Unstructured
	for i, q := range planQueries(d.Trials) {
		objects, err := d.run.lists.get(ctx, q)
		if err != nil {
			d.found.fail(err)
		}
		if all = append(all, objects...); i == 0 {
			d.parents = objects
		}
	}
	if d.found.State != PlanDone {
		return context.Cause(ctx)
	}
	d.snapshot = offline.NewSnapshot(compose.ParentUIDLabel, all)
	return d.prepare(ctx)
}

// allow reports whether the definition is worked out. If not, it notes why.
func (d *planning) allow() bool {
	switch {
	case !d.Definition.Handler.Composes():
		d.found.State = PlanEffects
		return false
	case !d.Definition.Handler.External():
		return true
	case d.run.Allow == nil:
		d.found.State = PlanNotRun
		return false
	}
	def, err := d.run.Allow(d.Definition)
	if err != nil {
		d.found.State, d.found.Why = PlanNotRun, err.Error()
		return false
	}
	d.Definition = def
	return true
}

// prepare makes the composer, and finds out which objects are handled.
func (d *planning) prepare(ctx context.Context) error {
	server := d.snapshot.NewServer(d.Finder)
	server.ConfirmBy(offline.Confirmation{Never: true})
	var first *compose.Reconciler
	if err := d.bounded(ctx, func() (err error) {
		first, err = d.reconciler(ctx, trialServer{server, server.Over(d.Live)}, &trialEvents{})
		return err
	}); err != nil {
		d.found.fail(err)
		return context.Cause(ctx)
	}
	d.planned.first = first
	d.parents = slices.DeleteFunc(slices.Clone(d.parents), func(o *unstructured.Unstructured) bool {
		object, ok := first.Parents.Get(o.GetNamespace(), o.GetName())
		if ok && compose.TakesPart(ctx, first, object) {
			d.found.Rolled++
		}
		return !ok || first.Selection.Excludes(ctx, object)
	})
	d.found.Objects = len(d.parents)
	for _, owned := range ownedKinds(d.Definition) {
		for _, o := range d.snapshot.List(owned.GroupVersionKind()) {
			labels := o.GetLabels()
			if id := (compose.ChildID{Kind: o.GroupVersionKind().GroupKind()}); compose.IsBraked(id) &&
				labels[compose.InstallationLabel] == d.Installation && slices.Contains(d.Definition.IDs(), labels[compose.DefinitionLabel]) {
				d.found.Children++
			}
		}
	}
	if d.planned.moves.Concerns(d.Definition.IDs()[0]) {
		d.planned.moves.Begin(first, func(kube.Key) {})
	}
	return context.Cause(ctx)
}

// plannedTrial is one object with what came of it.
type plannedTrial struct {
	parent offline.Key
	tried  *Tried
	err    error
}

// tryAll works out what becomes of each object.
func (d *planning) tryAll(ctx context.Context) ([]plannedTrial, error) {
	all := make([]plannedTrial, len(d.parents))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(d.workers())
	var done atomic.Int64
	for i, parent := range d.parents {
		workers.Go(func() error {
			all[i].parent = offline.KeyOf(parent)
			all[i].tried, all[i].err = d.try(ctx, triedParent{key: all[i].parent}, compose.Try)
			if report := d.run.Progress; report != nil {
				report(Progress{Definition: d.Definition.Name, Done: int(done.Add(1)), All: len(d.parents)})
			}
			if stuck, ok := errors.AsType[*StuckTrialError](all[i].err); ok {
				return stuck // Nothing that it may use can be touched any more.
			}
			return context.Cause(ctx)
		})
	}
	return all, workers.Wait()
}

// workers is how many objects are worked out at a time. What is foreign is asked as at run time.
func (d *planning) workers() int {
	if d.Definition.Handler.External() {
		return d.Definition.Workers
	}
	return triedAtOnce
}

// try works out what becomes of one object.
func (d *planning) try(ctx context.Context, parent triedParent, do tryPass) (*Tried, error) {
	server := d.snapshot.NewServer(d.Finder)
	server.ConfirmBy(offline.Confirmation{Never: d.run.Unconfirmed, AtOnce: d.run.dryRuns, Answers: d.answers})
	return d.Trials.run(ctx, trialServer{server, server.Over(d.Live)}, parent, do)
}

// finish works out what becomes of what the definition does not handle any more, and what its brake
// would hold.
func (d *planning) finish(ctx context.Context) error {
	if d.found.State != PlanDone {
		return nil
	}
	if err := d.leavers(ctx); err != nil {
		return err
	}
	for _, t := range d.found.Tried {
		d.found.Missing = append(d.found.Missing, offline.MissingRights(t.Server)...)
	}
	if !d.found.Foreseen.IsChange {
		d.brake()
	}
	left := slices.DeleteFunc(slices.Clone(d.found.Foreseen.Left), func(s compose.Scope) bool { return s.Done })
	selection := selectionOf(d.Definition)
	id := d.Definition.IDs()[0]
	if err := d.run.leftovers(ctx, d.found, left, compose.Removal{
		Definition: id, MovesAs: id, Formerly: d.Definition.Formerly, Now: &selection,
	}); err != nil {
		return err
	}
	return d.withdrawFormer(ctx)
}

// leavers works out what becomes of the children of objects that have left the definition by their
// own change while no kooperd was there.
func (d *planning) leavers(ctx context.Context) error {
	since, known := d.found.Foreseen.LeaversSince()
	if selection := selectionOf(d.Definition); !known || !selection.Selects() && selection.Where == nil {
		return nil
	}
	server := d.snapshot.NewServer(d.Finder)
	server.ConfirmBy(offline.Confirmation{Never: true})
	r, err := d.reconciler(ctx, trialServer{server, server.Over(d.Live)}, &trialEvents{})
	if err != nil {
		return err
	}
	for _, key := range compose.FindLeavers(ctx, r, since) {
		object, ok := r.Leavers.Get(key)
		if !ok {
			continue
		}
		parent := offline.Key{GroupKind: d.Definition.Watch.Kind.GroupKind(), Namespace: key.Namespace, Name: key.Name}
		tried, err := d.try(ctx, triedParent{key: parent, object: object}, compose.TryLeave)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			d.found.Failed = append(d.found.Failed, FailedTrial{Parent: parent, Err: err})
		case len(tried.Children)+len(tried.Patches) > 0:
			tried.Leaves, tried.Excluded = true, leftText
			d.found.Tried = append(d.found.Tried, tried)
		}
	}
	return nil
}

// leftText says of an object why its children go.
const leftText = "the definition does not select it any more"

// withdrawFormer works out what becomes of what was contributed to objects of kinds that the
// definition does not patch any more.
func (d *planning) withdrawFormer(ctx context.Context) error {
	selection := selectionOf(d.Definition)
	for _, kind := range d.found.Foreseen.FormerPatches {
		server := offline.NewServer(d.Finder)
		server.ConfirmBy(offline.Confirmation{Never: d.run.Unconfirmed, AtOnce: d.run.dryRuns})
		over := server.Over(d.Live)
		client, err := compose.NewClient(over, d.Finder)
		if err != nil {
			return err
		}
		dyn, err := dynamic.NewForConfig(over)
		if err != nil {
			return err
		}
		removal := compose.Removal{
			Installation: d.Installation, Definition: d.Definition.IDs()[0], Formerly: d.Definition.IDs()[1:], Now: &selection,
			Left: d.found.Foreseen.Left, Client: client, Dynamic: dyn, Logger: logr.Discard(),
			Scope: compose.Scope{Patches: []compose.OwnedRecord{kind}, OnRemove: string(config.Delete)},
			Tell:  func(l compose.Leftover) { d.found.Leftovers = append(d.found.Leftovers, l) },
		}
		if err := removal.WithdrawPatches(ctx); err != nil && !kinds.IsNotServed(err) && ctx.Err() == nil {
			d.found.fail(err)
		}
	}
	return context.Cause(ctx)
}

// brake turns into waits what the brake of the definition would hold. It goes by the order in which
// objects are handled at first: those that have changed last come first.
func (d *planning) brake() {
	version := func(t *Tried) uint64 {
		if before := t.Server.Before(t.Parent); before != nil {
			n, _ := strconv.ParseUint(before.GetResourceVersion(), 10, 64) // 0 for one that cannot be compared
			return n
		}
		return 0
	}
	inOrder := slices.Clone(d.found.Tried)
	slices.SortStableFunc(inOrder, func(a, b *Tried) int { return cmp.Compare(version(b), version(a)) })
	allowed, wanted := compose.BrakeAllows(d.found.Children), 0
	for _, t := range inOrder {
		if before := t.Server.Before(t.Parent); before != nil && before.GetDeletionTimestamp() != nil {
			continue
		}
		counted := func(c compose.TriedChild) bool { return c.Action == compose.Delete && compose.IsBraked(c.ID) }
		n := 0
		for _, c := range t.Children {
			if counted(c) {
				n++
			}
		}
		if wanted += n; n == 0 || wanted <= allowed {
			continue
		}
		d.found.Held += n
		for i := range t.Children {
			if c := &t.Children[i]; counted(*c) {
				c.Action, c.Reason, c.Message = compose.Wait, compose.ReasonPruneHeld, "too many children would be gone at once"
			}
		}
	}
}
