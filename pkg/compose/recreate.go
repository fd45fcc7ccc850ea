package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

var (
	errNotInvalid = errors.New("a new object would be refused, too")
	errParentGone = errors.New("the parent is gone")
)

func checkUpdate(p handlers.ChildPolicy) error {
	switch p.Update {
	case "", handlers.UpdateInPlace, handlers.UpdateRecreate, handlers.UpdateOnDelete, handlers.UpdateCreateOnly:
	default:
		return fmt.Errorf("there is no update policy %q: want inPlace, recreate, onDelete or createOnly", p.Update)
	}
	if p.AllowDataLoss && p.Update != handlers.UpdateRecreate {
		return errors.New("AllowDataLoss is for the update policy recreate")
	}
	return nil
}

// outdated is the op of a child that is changed when somebody deletes it.
func (p *planner) outdated(d *Desired, o *Observed) Op {
	op := p.current(d, o)
	op.Reason, op.Message = ReasonOnDelete, "it is not what is desired now, and is made so when it is deleted"
	return op
}

// recreated is what becomes of an op that the API server is known to refuse.
func (p *planner) recreated(d *Desired, o *Observed, op Op) Op {
	if op.Action != Apply || o.immutable != d.hash || d.Policy.Update != handlers.UpdateRecreate {
		return op
	}
	if !p.proven(o) {
		return refuse(ReasonImmutable, fmt.Sprintf("%s cannot be changed to what is desired, and is not provably ours to be deleted", o.ID))
	}
	if what := holdsData(o); what != "" && !d.Policy.AllowDataLoss {
		return refuse(ReasonImmutable, fmt.Sprintf(
			"%s cannot be changed to what is desired, and %s is not deleted for that without AllowDataLoss", o.ID, what))
	}
	return Op{Action: Recreate, Reason: ReasonImmutable, NotReady: "it cannot be changed, so it is deleted and made anew"}
}

// holdsData says what an object is whose end may be the end of data; empty if it is none.
func holdsData(o *Observed) string {
	if slices.Contains(protected, o.ID.Kind) {
		return "a " + o.ID.Kind.Kind
	}
	if o.ID.Kind != (schema.GroupKind{Group: "apps", Kind: "StatefulSet"}) {
		return ""
	}
	const claims = "a StatefulSet with volumeClaimTemplates"
	tree, err := o.Tree()
	if err != nil || !o.Whole {
		return claims // It is not known.
	}
	if templates, _, _ := unstructured.NestedSlice(tree, "spec", "volumeClaimTemplates"); len(templates) == 0 {
		return ""
	}
	return claims
}

// mayBeRecreated reports whether a change was refused in a way that a new object may pass.
func mayBeRecreated(op Op, failure *opError) bool {
	return failure != nil && op.Action == Apply && op.Desired.Policy.Update == handlers.UpdateRecreate &&
		failure.reason == reasonInvalid && ofFields(failure)
}

// ofFields reports whether an error says that fields are invalid, and nothing else: the validation
// of the kind has said it, and no policy.
func ofFields(err error) bool {
	status, ok := statusOf(err)
	return ok && apierrors.IsInvalid(err) && status.Details != nil && len(status.Details.Causes) > 0 &&
		!slices.ContainsFunc(status.Details.Causes, func(cause metav1.StatusCause) bool { return cause.Field == "" })
}

// tryRecreate finds out whether a child whose change was refused could be made anew. If so, it
// returns the child as it is now, with the note that it cannot be changed.
func (x *executor) tryRecreate(ctx context.Context, op Op, refused *opError) (*observedChild, *opError) {
	now, failure := x.read(ctx, op, true)
	if failure != nil || now == nil || now.UID != op.Observed.UID || now.Deleting {
		return now, failure
	}
	switch err := x.tryCreate(ctx, op); {
	case ended(ctx) != nil:
		return nil, refused
	case err != nil:
		return nil, &opError{reason: refused.reason, err: fmt.Errorf("%w; it is not made anew, because that is not sure to work: %w", refused, err)}
	}
	now.immutable = op.Desired.hash
	return now, nil
}

// tryCreate asks whether the child could be created under another name. Nothing is wrong with it
// when the API server complains about the name alone.
func (x *executor) tryCreate(ctx context.Context, op Op) error {
	body, err := op.Desired.nameless()
	if err != nil {
		return err
	}
	err = x.Client.tryCreate(ctx, x.target(op.Desired.Kind, op.ID), body)
	if err == nil || !ofFields(err) {
		return err
	}
	status, _ := statusOf(err)
	ofName := func(cause metav1.StatusCause) bool {
		return cause.Field == "metadata.name" || cause.Field == "metadata.generateName"
	}
	if i := slices.IndexFunc(status.Details.Causes, func(cause metav1.StatusCause) bool { return !ofName(cause) }); i >= 0 {
		return fmt.Errorf("%w for its %s", errNotInvalid, status.Details.Causes[i].Field)
	}
	return nil
}

// nameless is the child as it is created under a name that the API server makes.
func (d *Desired) nameless() ([]byte, error) {
	const most = 50 // A name that is a label may have 63 bytes.
	whole := d.tree
	if d.full != nil {
		whole = d.full
	}
	tree := maps.Clone(whole)
	metadata := maps.Clone(object(whole, "metadata"))
	tree["metadata"] = metadata
	delete(metadata, "name")
	metadata["generateName"] = strings.TrimRight(d.ID.Name[:min(len(d.ID.Name), most)], "-.") + "-"
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", d.ID, err)
	}
	return text, nil
}

// recreate deletes a child in the version of which is known that it cannot be changed. When it is
// gone, it is absent, and made anew.
func (x *executor) recreate(ctx context.Context, op Op) (*observedChild, *opError) {
	if now, there := x.Parents.GetByUID(x.parent.UID); !there || now.Name() != x.parent.Name {
		return nil, &opError{reason: reasonStale, err: errParentGone}
	}
	o := op.Observed
	x.Memory.beginWrite(x.parent.UID, op.ID)
	left, err := x.Client.delete(ctx, x.target(op.Desired.Kind, op.ID), o.UID, o.ResourceVersion)
	gone := err == nil && left == nil || apierrors.IsNotFound(err)
	if left != nil {
		x.Memory.endWrite(x.parent.UID, op.ID, "", left)
	} else {
		x.Memory.endDelete(x.parent.UID, op.ID, o.UID, gone)
	}
	if err != nil && gone {
		forgetGone(x, o)
	}
	switch {
	case apierrors.IsConflict(err):
		return x.read(ctx, op, false) // It has changed, and may be changed now.
	case err != nil && !gone:
		failure := failed("deleting", op.ID, err)
		x.Metrics.Failed(string(failure.reason))
		return nil, failure
	}
	x.Metrics.Recreated()
	x.Logger.Info("deleted child to make it anew", "child", op.ID.String(), "parent", x.parent.text())
	x.tell("Recreated", "Delete", op.ID, fmt.Sprintf(
		"%s cannot be changed to what is desired: it was deleted, and is made anew when it is gone", op.ID))
	return nil, nil //nolint:nilnil // there is none to be shown any more
}
