package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"kooperd.dev/kooperd/pkg/handlers"
)

// withdrawAll removes all that the parent has contributed: it is being deleted, or is not handled
// any more. It goes by what is there, and never asks what is desired.
func (p patching) withdrawAll(ctx context.Context) error {
	if len(p.Patched) == 0 {
		return nil
	}
	p.patches.desired = nil
	unseen := false
	for range maxPatchRounds {
		p.patches.ops = p.plan(p.observe(), "")
		changed := p.execute(ctx)
		if err := ended(ctx); err != nil {
			return err
		}
		if err := p.firstError(); err != nil {
			return err
		}
		if changed {
			continue
		}
		if unseen {
			p.memory().forgetPatches(p.parent.UID, nil)
			return nil
		}
		unseen = true
		if err := p.findUnseenPatches(ctx); err != nil {
			return err
		}
		if failed, _ := p.findUnlabelled(ctx); len(failed) > 0 && ctx.Err() == nil {
			return slowly(p.patches.failed[failed[0].ID], p.req.Attempt)
		}
	}
	return errStillPatched
}

// errStillPatched is an answer of the API server that is not what was asked for.
var errStillPatched = errors.New("what was contributed to other objects is still there")

// findUnseenPatches looks at the API server for objects that the caches do not have yet: a leader
// before this one may have patched them a moment ago.
func (p patching) findUnseenPatches(ctx context.Context) error {
	for _, source := range p.Patched {
		if isAbsent(source.Source) {
			continue
		}
		for _, namespace := range orAll(source.Namespaces) {
			at := place{source: source.Source, namespace: namespace}
			if p.caughtUp.has(at) {
				continue
			}
			list := p.caughtUp.patchedAt(at)
			objects, err := list.of(ctx, patchManagersOf(p), func() ([]handlers.Object, error) { return listPatched(ctx, p, source, at) })
			if err != nil {
				return err
			}
			for _, object := range objects {
				if o := p.observed(object); len(o.Owned) > 0 {
					p.patches.live[o.ID] = o
				}
			}
		}
	}
	return nil
}

// patientReasons are why a patch waits that is looked at again by itself.
var patientReasons = []Reason{ReasonTargetAbsent, ReasonFight, ReasonDeleting, ReasonAfter}

// listPatched lists what is patched at a place, for whichever parent.
func listPatched(ctx context.Context, p patching, source PatchSource, at place) ([]handlers.Object, error) {
	objects, version, err := p.Client.list(ctx, query{
		kind: source.GroupVersionKind(), namespace: at.namespace, manager: PatchManagers,
		labels: labels.Set{PatchedLabel(p.Installation): PatchedValue},
	})
	if err == nil {
		p.caughtUp.listed(at, version)
	}
	return objects, err
}

// patchManagersOf are the field managers of the parent, of now and before.
func patchManagersOf(p patching) (managers []string) {
	for _, id := range p.ids() {
		managers = append(managers, PatchManager(id, p.parent.UID))
	}
	return managers
}

// firstError is what the call ends with because of a patch. One that is not to be tried yet is
// tried then.
func (p patching) firstError() error {
	for _, op := range p.patches.ops {
		if failure := p.patches.failed[op.ID]; failure != nil && op.Desired == nil {
			return slowly(failure, p.req.Attempt)
		}
	}
	for _, op := range p.patches.ops {
		failure := p.patches.failed[op.ID]
		switch {
		case op.Desired == nil:
			continue
		case failure != nil && passing(failure):
			return &childrenError{failure}
		case failure == nil && op.Action == Wait && slices.Contains(patientReasons, op.Reason):
			continue
		case failure == nil && op.Action == Refuse:
			err := &opError{reason: op.Reason, err: fmt.Errorf("%s", op.text())} //nolint:err113 // for a person
			return &childrenError{slowly(err, p.req.Attempt)}
		case failure == nil && op.Action != Wait:
			continue
		}
		err := &opError{reason: op.Reason, err: fmt.Errorf("%s", op.text())} //nolint:err113 // for a person
		return &childrenError{&slowError{err: err, delay: max(p.patches.next, fenceRetry)}}
	}
	return nil
}
