package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/handlers"
)

// The conditions that are kooperd's own.
const (
	conditionReady       = "Ready"
	conditionProgressing = "Progressing"
	conditionDegraded    = "Degraded"
)

// condition is one of them.
type condition struct {
	kind, reason, message string
	status                bool
}

// conditions sums up the pass.
func (p *pass) conditions() []condition {
	ready := condition{kind: conditionReady, status: true, reason: "Ready"}
	progressing := condition{kind: conditionProgressing, reason: "Settled"}
	degraded := condition{kind: conditionDegraded, reason: "AsDesired"}
	block := func(reason Reason, message string) {
		if ready.status {
			ready.status, ready.reason, ready.message = false, string(reason), message
		}
	}
	degrade := func(reason Reason, message string) {
		if !degraded.status {
			degraded.status, degraded.reason, degraded.message = true, string(reason), message
		}
	}
	progress := func(reason Reason, message string) {
		if !progressing.status {
			progressing.status, progressing.reason, progressing.message = true, string(reason), message
		}
	}
	if p.err != nil {
		reason := reasonOf(p.err)
		block(reason, p.err.Error())
		if putOff(p.err) {
			progress(reason, p.err.Error())
		} else {
			degrade(reason, p.err.Error())
		}
		return []condition{ready, progressing, degraded}
	}
	// What is wrong comes first, then what another party has to do. What waits for something of the
	// same parent is not what blocks.
	order := slices.Clone(p.ops)
	rank := func(op Op) int { return blocking(op, p.failed[op.ID] != nil) }
	slices.SortStableFunc(order, func(a, b Op) int { return cmp.Compare(rank(a), rank(b)) })
	troubles := 0
	for troubles < len(order) && rank(order[troubles]) == blocksByTrouble {
		troubles++
	}
	for _, op := range order[:troubles] {
		p.sumUp(op, block, progress, degrade)
	}
	for _, f := range p.fights {
		block(ReasonFight, f.message)
		degrade(ReasonFight, f.message)
	}
	if failure := p.labels.failure; failure != nil {
		block(failure.reason, failure.Error())
		degrade(failure.reason, failure.Error())
	}
	pending := func(ofParent bool) {
		for _, waiting := range p.composition.Pending {
			if waitsForOwn(p.composition, waiting) == ofParent {
				block("Pending", waiting.Error())
				progress("Pending", waiting.Error())
			}
		}
	}
	pending(false)
	for _, op := range order[troubles:] {
		p.sumUp(op, block, progress, degrade)
	}
	p.patches.sumUp(block, progress, degrade)
	pending(true)
	for _, problem := range p.composition.Problems {
		degrade("Problem", problem)
	}
	return []condition{ready, progressing, degraded}
}

// What an op says of its parent, in the order of what a person looks at first.
const (
	blocksByTrouble = iota
	blocksByState
	blocksByOrder
)

// blocking returns which of these an op is.
func blocking(op Op, failed bool) int {
	switch {
	case failed, op.Action == Refuse && op.Desired != nil:
		return blocksByTrouble
	case op.Reason == ReasonAfter:
		return blocksByOrder
	}
	return blocksByState
}

// waitsForOwn reports whether a child waits for another one of the same composition.
func waitsForOwn(c handlers.Composition, waiting handlers.Pending) bool {
	name, ok := strings.CutPrefix(waiting.On, "child ")
	return ok && (slices.ContainsFunc(c.Children, func(child handlers.Child) bool { return child.Name == name }) ||
		slices.ContainsFunc(c.Pending, func(other handlers.Pending) bool { return other.Name == name }))
}

// sumUp adds one op to the conditions.
func (p *pass) sumUp(op Op, block, progress, degrade func(Reason, string)) {
	message := func(text string) string { return fmt.Sprintf("%s: %s", op.ID, text) }
	failure := p.failed[op.ID]
	switch {
	case failure != nil:
		degrade(failure.reason, failure.Error())
		block(failure.reason, failure.Error())
	case op.Reason == ReasonFight: // It is said of the fight.
	case op.Reason == reasonTerminating && op.Action == Wait:
		degrade(op.Reason, message(op.Message))
		block(op.Reason, message(op.Message))
	case op.Reason == ReasonPruneHeld:
		degrade(op.Reason, message(op.Message))
	case waitsForHeir(op) && !p.showsMoves:
	case op.Desired == nil && op.Action == Wait:
		progress(op.Reason, message(op.Message))
	case op.Desired == nil:
	case op.Action == Refuse:
		degrade(op.Reason, fmt.Sprintf("child %s: %s", op.Desired.Name, op.Message))
		block(op.Reason, fmt.Sprintf("child %s: %s", op.Desired.Name, op.Message))
	case !op.Ready:
		reason := op.Reason
		if op.Action == Skip {
			reason = "NotReady"
		}
		block(reason, message(op.NotReady))
		progress(reason, message(op.NotReady))
	}
	if op.Reason == ReasonDrift && op.Action == Skip {
		degrade(ReasonDrift, message(op.Message))
	}
	if op.Reason == ReasonOnDelete {
		progress(ReasonOnDelete, message(op.Message))
	}
}
