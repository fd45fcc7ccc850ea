package compose

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// maxPatchRounds is how often the patches of one pass are looked at: to read, to apply, and once
// more where another state was found.
const maxPatchRounds = 6

// PatchedObjects is a cache of patched objects; a kube.View is one. It is safe for concurrent use.
type PatchedObjects interface {
	Source
	// ListAppliedBy returns the objects that a field manager has applied.
	ListAppliedBy(manager string) []handlers.Object
}

// PatchSource is the cache of the patched objects of one kind, of all parents and definitions. It
// has only objects with PatchedLabel, and keeps what field managers that begin with PatchManagers
// own of them.
type PatchSource struct {
	handlers.PatchedKind
	Source PatchedObjects
	// Namespaces are those that Source has; none stands for all.
	Namespaces []string
}

// patches is the state of a pass as far as it is about patches.
type patches struct {
	desired []*DesiredPatch
	ops     []PatchOp                  // the last plan
	live    map[ChildID]*ObservedPatch // read past the caches in this pass; nil for one that is gone
	reread  map[ChildID]bool           // after an answer that it was another object
	failed  map[ChildID]*opError       // what could not be done in this pass
	next    time.Duration              // after which one that has failed may be tried again; 0 for none
}

// patching is a pass that looks at its patches.
type patching struct{ *pass }

func (p patching) memory() patchMemories { return patchMemories{p.Memory} }

// desire makes what is desired of the composer's answer. All mistakes in it come together.
func (p patching) desire(ctx context.Context) error {
	p.patches.desired = nil
	if len(p.composition.Patches) == 0 {
		return nil
	}
	m := maker{installation: p.Installation, definition: p.Definition, parent: p.parent, kinds: map[schema.GroupVersionKind]ownedKind{}}
	for _, source := range p.Patched {
		kind := source.GroupVersionKind()
		resource, err := p.Client.resource(ctx, kind)
		if err != nil {
			return err
		}
		m.kinds[kind] = ownedKind{namespaced: resource.Namespaced, OwnedKind: handlers.OwnedKind{
			APIVersion: source.APIVersion, Kind: source.Kind, AnyNamespace: source.AnyNamespace, MetadataOnly: source.MetadataOnly,
		}}
	}
	var mistakes []error
	for _, patch := range p.composition.Patches {
		d, err := m.makePatch(patch)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		p.patches.desired = append(p.patches.desired, d)
	}
	return joinFirst(mistakes, "mistakes")
}

// contribute applies what is desired, and what is not ours any more under a former id is withdrawn.
func (p patching) contribute(ctx context.Context) {
	if len(p.Patched) == 0 {
		return
	}
	p.caughtUp.dropPatched()
	const still = "patches are still to be applied"
	for range maxPatchRounds {
		p.patches.ops = p.plan(p.observe(), still)
		if !p.execute(ctx) {
			return
		}
	}
}

// withdraw removes what is not desired any more, if all is well.
func (p patching) withdraw(ctx context.Context) {
	if len(p.Patched) == 0 || ctx.Err() != nil {
		return
	}
	hold := p.hold()
	var failed []PatchOp
	looked := false
	if hold == "" {
		failed, looked = p.findUnlabelled(ctx)
	}
	p.patches.ops = append(p.plan(p.observe(), hold), failed...)
	if p.execute(ctx) {
		p.patches.ops = append(p.plan(p.observe(), p.hold()), failed...)
	}
	if looked && len(p.patches.failed) == 0 && ctx.Err() == nil { // Else, there may be something left.
		p.memory().forgetPatches(p.parent.UID, p.patches.desired)
	}
}

// plan plans, without what has failed in this pass.
func (p patching) plan(observed []*ObservedPatch, hold string) []PatchOp {
	children, unready := make([]*Desired, 0, len(p.ops)), map[string]bool{}
	for _, op := range p.ops {
		if op.Desired != nil {
			children = append(children, op.Desired)
			unready[op.Desired.Name] = unready[op.Desired.Name] || !op.Ready
		}
	}
	var damped map[ChildID]*opError
	damped, p.patches.next = p.memory().dampedPatches(p.parent.UID, p.patches.desired, p.now())
	ops := PlanPatches(PatchInput{
		Identity: p.Identity, Parent: p.parent, Desired: p.patches.desired, Children: children, Unready: unready, Observed: observed,
		Hold: hold, Damped: damped,
	})
	for i, op := range ops {
		if failure := p.patches.failed[op.ID]; failure != nil && op.Action != Skip {
			ops[i].Action, ops[i].Reason, ops[i].Message = Wait, failure.reason, failure.Error()
		}
	}
	return ops
}

// holdsPrune says why nothing may be deleted because of patches; empty if it may.
func (p patching) holdsPrune() string {
	for _, op := range p.patches.ops {
		switch {
		case op.Desired == nil, op.Action == Skip, op.Reason == ReasonTargetAbsent && op.Action == Wait, op.Reason == ReasonDeleting,
			op.Reason == ReasonAfter:
		default:
			return fmt.Sprintf("the patch of %s could not be applied", op.ID)
		}
	}
	return ""
}

// observe returns the objects to which the parent contributes, as the caches have them with the
// answers to our own writes that they do not have yet, and those that were read.
func (p patching) observe() []*ObservedPatch {
	var cached []handlers.Object
	sourceOf := func(id ChildID) (PatchSource, bool) { return patchSourceOf(p.Patched, id) }
	remembered := p.memory().recallPatches(p.parent.UID, sourceOf, func() {
		for _, source := range p.Patched {
			for _, id := range p.ids() {
				cached = append(cached, source.Source.ListAppliedBy(PatchManager(id, p.parent.UID))...)
			}
		}
		for _, d := range p.patches.desired { // Others may contribute to it.
			if source, ok := patchSourceOf(p.Patched, d.ID); ok {
				if object, there := source.Source.Get(d.ID.Namespace, d.ID.Name); there {
					cached = append(cached, object)
				}
			}
		}
	})
	var lost []ChildID
	all := map[ChildID]*ObservedPatch{}
	for _, object := range cached {
		o := p.observed(object)
		all[o.ID] = o
	}
	for id, o := range p.patches.live { // What was read may be what is remembered, without its label.
		if all[id] == nil {
			all[id] = o
		}
	}
	for id, c := range remembered {
		o := all[id]
		switch {
		case c.gone && o != nil && o.UID == c.uid:
			delete(all, id)
			continue
		case c.gone:
			lost = append(lost, id) // The caches know.
		case c.answer != nil:
			o = p.observed(c.answer)
			all[id] = o
		}
		if o != nil && o.UID == c.uid {
			o.patchMemo = patchMemo{hash: c.hash, owned: c.owned}
		}
	}
	p.memory().forgetLost(p.parent.UID, lost)
	found := make([]*ObservedPatch, 0, len(all))
	for _, id := range slices.SortedFunc(maps.Keys(all), compareIDs) {
		found = append(found, all[id])
	}
	return found
}

// ids are the definition's, of now and before.
func (i Identity) ids() []string { return append([]string{i.Definition}, i.Formerly...) }

// observed makes an ObservedPatch of an object.
func (p patching) observed(object handlers.Object) *ObservedPatch {
	m := object.Metadata()
	kind := object.GroupVersionKind()
	o := &ObservedPatch{
		ID: ChildID{Kind: kind.GroupKind(), Namespace: object.Namespace(), Name: object.Name()}, Kind: kind, UID: object.UID(),
		ResourceVersion: object.ResourceVersion(), Deleting: m.DeletionTimestamp != nil, Finalizers: m.Finalizers, marks: marksOf(m),
		Owned: map[string]*fieldpath.Set{},
	}
	applied := kube.AppliedBy(object)
	for _, id := range p.ids() {
		if set := applied[PatchManager(id, p.parent.UID)]; set != nil {
			o.Owned[id] = set
		}
	}
	o.Tree = sync.OnceValues(func() (map[string]any, error) {
		if source, ok := patchSourceOf(p.Patched, o.ID); ok && source.MetadataOnly {
			return metadataTree(object)
		}
		text, err := object.JSON()
		if err != nil {
			return nil, err
		}
		return decodeTree(text)
	})
	p.secrets.add(object)
	return o
}

// patchSourceOf returns the cache in which an object is looked for whose kind is patched.
func patchSourceOf(sources []PatchSource, id ChildID) (PatchSource, bool) {
	for _, source := range sources {
		if source.GroupVersionKind().GroupKind() == id.Kind {
			return source, true
		}
	}
	return PatchSource{}, false
}

// patchTarget is an object of a patched kind.
func patchTarget(sources []PatchSource, kind schema.GroupVersionKind, id ChildID) target {
	t := target{kind: kind, namespace: id.Namespace, name: id.Name}
	if source, ok := patchSourceOf(sources, id); ok {
		t.metadataOnly = source.MetadataOnly
	}
	return t
}

// execute reads, applies and withdraws what the plan says. It returns whether that has changed what
// is observed.
func (p patching) execute(ctx context.Context) (changed bool) {
	var mu sync.Mutex
	var running errgroup.Group // not one that ends with the first error: patches are independent
	running.SetLimit(writesAtOnce)
	for _, op := range p.patches.ops {
		if op.Action != Read && op.Action != Apply && op.Action != Withdraw {
			continue
		}
		running.Go(func() error {
			seen, failure := p.carryOut(ctx, op)
			mu.Lock()
			defer mu.Unlock()
			p.trace.patch(op, failure)
			if failure != nil && failure.reason == reasonStale && op.Action == Apply && !p.patches.reread[op.ID] {
				p.patches.reread[op.ID], failure = true, nil // The next plan reads it.
				p.memory().losePatch(p.parent.UID, op.ID, op.Observed.UID)
			}
			switch {
			case failure != nil && ctx.Err() == nil:
				p.patches.failed[op.ID] = failure
			case seen != nil:
				p.patches.live[op.ID] = seen
			default:
				delete(p.patches.live, op.ID)
			}
			changed = changed || failure == nil
			return nil
		})
	}
	_ = running.Wait() // No function returns an error.
	return changed
}

// carryOut does what an op says. It returns what it has read, or why it failed.
func (p patching) carryOut(ctx context.Context, op PatchOp) (*ObservedPatch, *opError) {
	switch op.Action {
	case Read:
		return p.read(ctx, op)
	case Withdraw:
		for _, manager := range op.managers {
			if failure := p.remove(ctx, op, manager); failure != nil {
				return p.removeAgain(ctx, op, failure)
			}
		}
		return nil, nil //nolint:nilnil // there is nothing more to see
	default:
		return nil, p.apply(ctx, op)
	}
}
