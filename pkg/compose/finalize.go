package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

func (c *current) finalizer() string { return FinalizerOf(c.Installation, c.Definition) }

func (c *current) hasFinalizer() bool {
	return slices.Contains(c.meta.Finalizers, c.finalizer()) || c.hasFormerFinalizer()
}

func (c *current) hasFormerFinalizer() bool {
	return slices.ContainsFunc(c.formerFinalizers(), func(name string) bool { return slices.Contains(c.meta.Finalizers, name) })
}

// ensureFinalizer adds the finalizer before anything is made that only we can clean up: children
// that cannot have an owner reference to the parent, or that are to go in order, and patches. It
// takes the place of one that the definition has had under another id.
func (c *current) ensureFinalizer(ctx context.Context, desired []*Desired, patches bool) error {
	needed := patches || c.Finalizes || c.Ordered && len(desired) > 0 || slices.ContainsFunc(desired, func(d *Desired) bool { return !d.refs })
	outdated := c.hasFormerFinalizer()
	if !outdated && (!needed || c.hasFinalizer()) || c.meta.DeletionTimestamp != nil {
		return nil
	}
	client, err := c.parentClient(ctx)
	if err != nil {
		return err
	}
	c.Memory.beginParentWrite(c.parent.UID)
	now, ok, err := kube.AddFinalizer(ctx, client, c.object, c.finalizer(), c.formerFinalizers()...)
	if err != nil || !ok {
		now = nil
	}
	c.Memory.endParentWrite(c.parent.UID, "", now)
	if err != nil {
		return &opError{reason: reasonFor(err), err: err}
	}
	if !ok {
		return &opError{reason: reasonStale, err: fmt.Errorf("the parent is being deleted")} //nolint:err113 // its deletion is an event
	}
	c.setParent(now)
	return nil
}

// parentClient is the client of the parent's kind and namespace.
func (c *current) parentClient(ctx context.Context) (dynamic.ResourceInterface, error) {
	resource, err := c.Client.resource(ctx, c.Kind)
	if err != nil {
		return nil, err
	}
	return c.Dynamic.Resource(c.Kind.GroupVersion().WithResource(resource.Name)).Namespace(c.parent.Namespace), nil
}

// cleaning is a pass for a parent that is being deleted, or is not handled any more.
type cleaning struct {
	*pass
	all bool // not only what the garbage collector does not delete
}

// cleanUp deletes the children of a parent that is being deleted, as far as the garbage collector
// does not, and then removes the finalizer. It goes by what is provably ours, and never asks what
// is desired. Whoever deletes the parent may want to keep what depends on it: then all is kept.
func (p cleaning) cleanUp(ctx context.Context) (handlers.Result, error) {
	moving{p.pass}.reportNothing()
	p.Memory.Brake.release(p.parent.UID) // What goes with its parent is no concern of others.
	if !p.hasFinalizer() {
		return handlers.Result{}, nil
	}
	if !p.mayWrite(ctx) {
		return handlers.Result{RequeueAfter: listedInterval}, ended(ctx)
	}
	if err := (patching{p.pass}).withdrawAll(ctx); err != nil {
		if ctx.Err() == nil {
			err = errors.Join(err, p.writeConditions(ctx, stuckConditions(err)))
		}
		return handlers.Result{}, slowly(err, p.req.Attempt)
	}
	if !keepsDependents(p.meta) {
		left, err := p.deleteSeenAndUnseen(ctx)
		if err == nil && len(left) > 0 {
			return handlers.Result{}, p.writeConditions(ctx, deletingConditions(left))
		}
		if err != nil && ctx.Err() == nil {
			err = errors.Join(err, p.writeConditions(ctx, stuckConditions(err)))
		}
		if err != nil {
			return handlers.Result{}, slowly(err, p.req.Attempt)
		}
	}
	if !p.listed(true) {
		return handlers.Result{RequeueAfter: listedInterval}, nil
	}
	client, err := p.parentClient(ctx)
	if err != nil {
		return handlers.Result{}, err
	}
	if err := kube.RemoveFinalizer(ctx, client, p.object, append(p.formerFinalizers(), p.finalizer())...); err != nil {
		return handlers.Result{}, err
	}
	p.Logger.V(1).Info("removed finalizer", "finalizer", p.finalizer(), "parent", p.parent.text())
	return handlers.Result{}, nil
}

// deleteSeenAndUnseen is deleteAll that does not trust the caches when they have nothing left.
func (p cleaning) deleteSeenAndUnseen(ctx context.Context) (left []string, err error) {
	left, err = p.deleteAll(ctx)
	if err != nil || len(left) > 0 {
		return left, err
	}
	found, err := p.findUnseen(ctx)
	if err != nil || !found {
		return nil, err
	}
	return p.deleteAll(ctx)
}

// deleteAll deletes what the garbage collector does not, and returns what is still there. Of what
// may refer to the parent, it is the collector's to decide: a reference that is gone may have been
// removed so that the object stays.
func (p cleaning) deleteAll(ctx context.Context) (left []string, err error) {
	var held string
	for deleted := true; deleted; {
		held, deleted = p.deleteSome(ctx)
		if held != "" {
			return []string{held}, nil
		}
		if err := ended(ctx); err != nil {
			return nil, err
		}
		deleted = deleted && p.Ordered && p.firstError() == nil // What has waited for it goes next.
	}
	left, stuck := waits(p.ops, p.observeChildren())
	p.note(false)
	p.report(append(p.troubles(), stuck...), p.err == nil, p.req.Attempt)
	return left, p.firstError()
}

// deleteSome deletes what may go now. It reports whether there was something, or why nothing may
// be deleted at all.
func (p cleaning) deleteSome(ctx context.Context) (held string, deleted bool) {
	observed := p.observeChildren()
	p.ops = slices.DeleteFunc(p.plan(observed, nil, "", ""), func(op Op) bool {
		return !p.all && !p.Ordered && p.parent.mayOwn(op.ID.Namespace)
	})
	if p.Ordered {
		inOrder(p.ops)
	}
	counted := 0
	if p.all {
		if held, counted = p.pullBrake(p.ops); held != "" {
			return held, false
		}
	}
	deleted = p.executeDeletes(ctx, p.ops, observed)
	giveBack(p.current, counted, p.ops)
	return "", deleted
}

// deletingConditions say what the deletion of the parent waits for.
func deletingConditions(left []string) []condition {
	message := "waiting until the children are gone: " + left[0]
	if n := len(left) - 1; n > 0 {
		message = fmt.Sprintf("%s, and %d more", message, n)
	}
	return []condition{
		{kind: conditionReady, status: false, reason: string(ReasonDeleting), message: message},
		{kind: conditionProgressing, status: true, reason: string(ReasonDeleting), message: message},
		{kind: conditionDegraded, status: false, reason: string(ReasonDeleting)},
	}
}

// stuckConditions say why the parent cannot be deleted.
func stuckConditions(err error) []condition {
	reason, message := ReasonDeleting, err.Error()
	if failure, ok := errors.AsType[*opError](err); ok {
		reason = failure.reason
	}
	return []condition{
		{kind: conditionReady, status: false, reason: string(reason), message: message},
		{kind: conditionProgressing, status: true, reason: string(ReasonDeleting), message: message},
		{kind: conditionDegraded, status: true, reason: string(reason), message: message},
	}
}

// shorten keeps a message within what a condition should have.
func shorten(message string) string { return shortenTo(message, 1024) }

// shortenTo is shorten to so many bytes at most.
func shortenTo(message string, most int) string {
	message = strings.Join(strings.Fields(message), " ")
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most-len("…")], "") + "…"
}
