package compose

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// read reads an object that no cache shows. One that is not there, or is being deleted, is waited
// for.
func (p patching) read(ctx context.Context, op PatchOp) (*ObservedPatch, *opError) {
	object, err := getPatched(ctx, p.Client, patchTarget(p.Patched, op.Desired.Kind, op.ID))
	switch {
	case apierrors.IsNotFound(err):
		failure := &opError{reason: ReasonTargetAbsent, err: fmt.Errorf("%s does not exist", op.ID)} //nolint:err113 // for a person
		p.memory().failPatch(p.parent.UID, op.Desired, failure, p.now())
		return &ObservedPatch{ID: op.ID, Kind: op.Desired.Kind, Missing: true}, nil
	case err != nil:
		return nil, p.fail("reading", op, err)
	}
	o := p.observed(object)
	if o.Deleting { // No watch shows its end.
		p.memory().failPatch(p.parent.UID, op.Desired, &opError{reason: ReasonDeleting, err: deletingError(o)}, p.now())
		return o, nil
	}
	p.memory().findPatch(p.parent.UID, op.ID, object.UID())
	return o, nil
}

// deletingError says what an object waits for that is being deleted.
func deletingError(o *ObservedPatch) error {
	return fmt.Errorf("%s is being deleted%s", o.ID, waitingFor(o.Finalizers)) //nolint:err113 // for a person
}

// apply contributes to an object.
func (p patching) apply(ctx context.Context, op PatchOp) *opError {
	d := op.Desired
	body, err := d.body(op.Observed.UID)
	if err != nil {
		return &opError{reason: reasonInvalid, err: err}
	}
	if err := p.write(ctx, op, d.Kind, PatchManager(p.Definition, p.parent.UID), body, d.hash); err != nil {
		return p.fail("patching", op, err)
	}
	p.Metrics.Patched(string(op.Reason))
	if op.Reason == ReasonDrift {
		fight := &opError{reason: ReasonFight, err: fmt.Errorf("another party removes %s of %s again and again. "+ //nolint:err113 // for a person
			"It is set back less and less often, at most every 5 minutes in the end", op.lost[0].text, op.ID)}
		p.memory().revertPatch(p.parent.UID, d, fight, p.now())
	} else {
		p.memory().calmPatch(p.parent.UID, op.ID)
	}
	p.Logger.V(1).Info("patched object", "object", op.ID.String(), "reason", op.Reason, "parent", p.parent.text())
	return nil
}

// remove withdraws what one manager of the parent has contributed to an object.
func (p patching) remove(ctx context.Context, op PatchOp, manager string) *opError {
	o := op.Observed
	body, err := emptyBody(o.Kind, o.ID, o.UID)
	if err != nil {
		return &opError{reason: reasonInvalid, err: err}
	}
	hash := ""
	if op.Desired != nil {
		hash = op.Desired.hash // It has been contributed under the id of now.
	}
	switch err := p.write(ctx, op, o.Kind, manager, body, hash); {
	case apierrors.IsNotFound(err):
		p.memory().losePatch(p.parent.UID, op.ID, o.UID)
		return nil
	case err != nil:
		return p.fail("withdrawing the patch of", op, err)
	}
	p.Metrics.Patched("Withdrawn")
	p.Logger.V(1).Info("withdrew patch", "object", op.ID.String(), "parent", p.parent.text())
	return nil
}

// removeAgain looks at the object from which something could not be removed. Where another one has
// its name, the next plan decides on that.
func (p patching) removeAgain(ctx context.Context, op PatchOp, failure *opError) (*ObservedPatch, *opError) {
	if failure.reason != reasonStale {
		return nil, failure
	}
	object, err := getPatched(ctx, p.Client, patchTarget(p.Patched, op.Observed.Kind, op.ID))
	switch {
	case apierrors.IsNotFound(err):
		p.memory().losePatch(p.parent.UID, op.ID, op.Observed.UID)
		return nil, nil //nolint:nilnil // it is gone, and that is no failure
	case err != nil:
		return nil, p.fail("reading", op, err)
	case object.UID() == op.Observed.UID:
		return nil, failure
	}
	p.memory().losePatch(p.parent.UID, op.ID, op.Observed.UID)
	return p.observed(object), nil
}

// emptyBody is what is sent so that nothing is contributed any more to the object of that UID.
func emptyBody(kind schema.GroupVersionKind, id ChildID, uid types.UID) ([]byte, error) {
	metadata := map[string]any{"name": id.Name, "uid": string(uid)}
	if id.Namespace != "" {
		metadata["namespace"] = id.Namespace
	}
	return json.Marshal(map[string]any{"apiVersion": kind.GroupVersion().String(), "kind": kind.Kind, "metadata": metadata})
}

// write applies something, and remembers the answer.
func (p patching) write(ctx context.Context, op PatchOp, kind schema.GroupVersionKind, manager string, body []byte, hash string) error {
	p.memory().beginPatch(p.parent.UID, op.ID)
	answer, err := applyPatch(ctx, p.Client, patchTarget(p.Patched, kind, op.ID), manager, body)
	if err != nil {
		answer = nil
	}
	p.memory().endPatch(p.parent.UID, op.ID, hash, PatchManager(p.Definition, p.parent.UID), answer)
	return err
}

// fail notes why a request has failed.
func (p patching) fail(doing string, op PatchOp, err error) *opError {
	failure := failedPatch(doing, op.ID, err)
	if failure.reason == reasonStale {
		return failure
	}
	p.Metrics.Failed(string(failure.reason))
	if op.Desired != nil && !passing(failure) {
		p.memory().failPatch(p.parent.UID, op.Desired, failure, p.now())
	}
	return failure
}

func failedPatch(doing string, id ChildID, err error) *opError {
	reason := reasonFor(err)
	if reason == ReasonConflict {
		err = fmt.Errorf("%s: %w", conflictText(err, "patch"), err)
	}
	return &opError{reason: reason, err: fmt.Errorf("%s %s: %w", doing, id, err)}
}

// getPatched reads an object with what is contributed to it, past all caches.
func getPatched(ctx context.Context, c *Client, t target) (handlers.Object, error) {
	body, err := c.sendRaw(ctx, t, "", func(path ...string) *rest.Request { return c.rest.Get().AbsPath(path...) })
	if err != nil {
		return nil, err
	}
	return kube.ReadObject(body, t.kind, PatchManagers, t.metadataOnly)
}

// applyPatch applies what one parent contributes to an object. It never takes a field from another
// field manager.
func applyPatch(ctx context.Context, c *Client, t target, manager string, body []byte) (handlers.Object, error) {
	answer, err := c.sendRaw(ctx, t, "", func(path ...string) *rest.Request {
		return c.rest.Patch(types.ApplyPatchType).AbsPath(path...).Param("fieldManager", manager).Param("force", "false").Body(body)
	})
	if err != nil {
		return nil, err
	}
	return kube.ReadObject(answer, t.kind, PatchManagers, t.metadataOnly)
}
