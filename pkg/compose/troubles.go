package compose

import (
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kooperd.dev/kooperd/pkg/handlers"
)

const (
	// maxTroubles is how many troubles of one parent events are recorded about.
	maxTroubles = 8
	// fewFailures is how many calls in a row may fail in a way that passes by itself, before there
	// is an event, and fewRefusals how many may be forbidden: a replica that has just become the
	// leader may be ahead of the policy that lets it write.
	fewFailures = 2
	fewRefusals = 1
)

// trouble is something that a person should know of.
type trouble struct {
	reason   string
	id       ChildID // zero where it is about no single child
	message  string
	patience int // how many failed calls before are no reason for an event
}

// refusals are the reasons of objects that are left alone; their events have a reason in common.
var refusals = []Reason{ReasonForeign, ReasonOtherParent, ReasonDuplicate, ReasonOrder, ReasonOwnChild}

// eventReason is the reason of the events about a trouble.
func eventReason(reason Reason) string {
	if slices.Contains(refusals, reason) {
		return "Refused"
	}
	return string(reason)
}

// troubles are those of the pass, the first ones first.
func (p *pass) troubles() (all []trouble) {
	add := func(reason Reason, id ChildID, message string, err error) {
		name := eventReason(reason)
		is := func(other trouble) bool { return other.reason == name && other.id == id }
		if len(all) < maxTroubles && !slices.ContainsFunc(all, is) {
			all = append(all, trouble{reason: name, id: id, message: message, patience: patienceWith(err)})
		}
	}
	if putOff(p.err) {
		return nil
	}
	if p.err != nil {
		add(reasonOf(p.err), ChildID{}, p.err.Error(), p.err)
		return all
	}
	for _, f := range p.fights {
		add(ReasonFight, f.id, f.message, nil)
	}
	for _, op := range p.ops {
		failure := p.failed[op.ID]
		switch {
		case failure != nil:
			add(failure.reason, op.ID, failure.Error(), failure)
		case op.Action == Refuse:
			add(op.Reason, op.ID, op.Message, nil)
		case op.Reason == reasonTerminating && op.ID.Namespace != p.parent.Namespace: // There, events are refused too.
			add(op.Reason, ChildID{}, fmt.Sprintf("%s: %s", op.ID, op.Message), nil)
		case op.Reason == ReasonPruneHeld:
			add(op.Reason, ChildID{}, fmt.Sprintf("%s: %s", op.ID, op.Message), nil)
		case op.Reason == ReasonDrift && op.Action == Skip:
			add(op.Reason, op.ID, fmt.Sprintf("%s: %s", op.ID, op.Message), nil)
		}
	}
	if failure := p.labels.failure; failure != nil {
		add(failure.reason, ChildID{}, failure.Error(), failure)
	}
	p.patches.tellTroubles(add)
	return all
}

// patienceWith is how many calls may fail with an error, nil for none, before there is an event.
func patienceWith(err error) int {
	switch {
	case err == nil, handlers.IsTerminal(err):
		return 0
	case passing(err):
		return fewFailures
	case apierrors.IsForbidden(err):
		return fewRefusals
	default:
		return 0
	}
}

// reasonOf is the reason of an error that keeps a whole pass from its work.
func reasonOf(err error) Reason {
	if failure, ok := errors.AsType[*opError](err); ok {
		return failure.reason
	}
	if putOff(err) {
		return reasonPutOff
	}
	return "ComposeFailed"
}

// tellPruned records an event about children that were deleted.
func (o *observer) tellPruned(ops []Op) {
	var gone []ChildID
	for _, op := range ops {
		if op.Action == Delete {
			gone = append(gone, op.ID)
		}
	}
	switch n := len(gone); {
	case n == 1:
		o.tell("Pruned", "Delete", gone[0], fmt.Sprintf("deleted %s, which is not desired any more", gone[0]))
	case n > 1:
		o.tell("Pruned", "Delete", ChildID{},
			fmt.Sprintf("deleted %s and %d more children, which are not desired any more", gone[0], n-1))
	}
}
