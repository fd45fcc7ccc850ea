package compose

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// Trial is what one pass for a parent has done. What it says has nothing secret in it, but for the
// objects.
type Trial struct {
	// Children are first those that are desired, in the order of the composer, and then those that
	// are not.
	Children []TriedChild
	// Patches are the same of what is contributed to other objects.
	Patches []TriedPatch
	// Pending are children that are not known yet.
	Pending []handlers.Pending
	// Problems are what is wrong and keeps no child from being made.
	Problems []string
	// StatusPending are parts of the status that are not known yet.
	StatusPending []string
	// Conditions are those that sum up the pass. There are none where nothing was composed.
	Conditions []TriedCondition
	// Rounds is how often the composer was asked, and Settled is false if it would have had to be
	// asked more often than is allowed.
	Rounds  int
	Settled bool
	// Paused is true when the parent is left alone.
	Paused bool
	// RequeueAfter is after which time the parent would be looked at again; 0 for never.
	RequeueAfter time.Duration
	// Err is why the children are not known, or the status could not be written; nil if all is
	// well. What is wrong with single children is said of these.
	Err error
	// Failure is what keeps single children or patches from being as desired, so that the parent
	// would be tried again; nil for nothing.
	Failure error
	// Redact returns a text without what is secret.
	Redact func(string) string
}

// TriedChild is what was done about one child.
type TriedChild struct {
	// ID names the object, and Kind is its kind in the version that is applied.
	ID   ChildID
	Kind schema.GroupVersionKind
	// Name is the child's name within its parent.
	Name string
	// Action is what was done, or would have to be.
	Action Action
	// Reason and Message say why.
	Reason  Reason
	Message string
	// After names the children that have to be ready before.
	After []string
	// Ready reports whether the child is as desired, and ready. NotReady says why it is not.
	Ready    bool
	NotReady string
	// Desired is what is applied, marks included, as JSON values. It is nil for an object that is
	// not desired, and must not be changed. Of an object that is made once it is all that is known
	// of it.
	Desired map[string]any
	// Generated is true when the object has values in it that are not in Desired.
	Generated bool
}

// TriedPatch is what was done about one patch.
type TriedPatch struct {
	// ID names the object, and Kind is its kind in the version that is applied.
	ID   ChildID
	Kind schema.GroupVersionKind
	// Name is the patch's name within its parent; empty for one that is not desired.
	Name string
	// Action is what was done, or would have to be.
	Action Action
	// Reason and Message say why.
	Reason  Reason
	Message string
	// Desired is what is contributed, as JSON values. It must not be changed.
	Desired map[string]any
}

// TriedCondition is a condition of kooperd's own.
type TriedCondition struct {
	Type    string
	Status  bool
	Reason  string
	Message string
}

// Try makes one pass for a parent, as Handle does, and says what it has done. The clients of r
// should be such that nothing is changed in a cluster. Memory must be new: nothing is known of
// earlier passes, and what is not desired is deleted as after a change of the file.
func Try(ctx context.Context, r *Reconciler, parent handlers.Object) Trial {
	return try(r, parent, func(p *pass) (handlers.Result, error) { return p.run(ctx) })
}

// TryLeave is Try for a parent that the definition does not select, as if it had before: its
// children are deleted, and what it contributes to other objects is withdrawn. The composer is not
// asked.
func TryLeave(ctx context.Context, r *Reconciler, parent handlers.Object) Trial {
	r.Logger = logr.Discard() // What it says has not happened.
	r.Leavers.Note(parent)
	return try(r, parent, func(p *pass) (handlers.Result, error) { return cleaning{pass: p}.leave(ctx) })
}

// try makes one pass that does something.
func try(r *Reconciler, parent handlers.Object, do func(*pass) (handlers.Result, error)) (trial Trial) {
	key := kube.Key{Namespace: parent.Namespace(), Name: parent.Name()}
	r.Memory.Brake.DefinitionChanged(r.now())
	r.Memory.meet(key, parent.UID())
	p := newPass(r, key, handlers.Request{Object: parent, Cause: handlers.CauseChange})
	p.trace = &trace{}
	defer func() {
		if value := recover(); value != nil {
			text := p.secrets.clean(fmt.Sprint(value))
			trial = Trial{Err: fmt.Errorf("the plugin has panicked: %s", text), Redact: p.secrets.clean} //nolint:err113 // for a person
		}
	}()
	if isOwnChild(r, p.meta) {
		return Trial{Err: errOwnChild, Redact: p.secrets.clean}
	}
	result, err := do(p)
	trial = trialOf(p)
	trial.RequeueAfter = result.RequeueAfter
	switch {
	case p.err != nil:
		trial.Err = p.secrets.cleanError(p.err)
	case p.firstError() == nil:
		trial.Err = p.secrets.cleanError(err)
	default:
		trial.Failure = p.secrets.cleanError(p.firstError())
	}
	return trial
}

// trialOf says what the pass has done.
func trialOf(p *pass) Trial {
	t := Trial{Rounds: p.rounds, Settled: !p.unsettled, Paused: p.paused, Redact: p.secrets.clean}
	if p.rounds > 0 {
		for _, c := range p.conditions() {
			t.Conditions = append(t.Conditions, TriedCondition{
				Type: p.Status.ConditionPrefix + c.kind, Status: c.status, Reason: c.reason, Message: p.secrets.clean(c.message),
			})
		}
		for _, pending := range p.composition.Pending {
			pending.On, pending.Why = p.secrets.clean(pending.On), p.secrets.clean(pending.Why)
			t.Pending = append(t.Pending, pending)
		}
		for _, problem := range p.composition.Problems {
			t.Problems = append(t.Problems, p.secrets.clean(problem))
		}
		for _, part := range p.composition.StatusPending {
			t.StatusPending = append(t.StatusPending, p.secrets.clean(part))
		}
	}
	if p.err != nil {
		return t // What was planned before says nothing.
	}
	for _, op := range p.ops {
		t.Children = append(t.Children, triedChild(p, op))
	}
	for _, op := range p.trace.children {
		is := func(c TriedChild) bool { return c.ID == op.ID }
		if op.Desired == nil && !slices.ContainsFunc(t.Children, is) {
			t.Children = append(t.Children, triedChild(p, op))
		}
	}
	for _, op := range p.patches.ops {
		t.Patches = append(t.Patches, triedPatch(p, op))
	}
	withdrawn := slices.SortedFunc(slices.Values(p.trace.patches), func(a, b PatchOp) int { return compareIDs(a.ID, b.ID) })
	for _, op := range withdrawn { // They are carried out at a time.
		is := func(c TriedPatch) bool { return c.ID == op.ID }
		if op.Action == Withdraw && !slices.ContainsFunc(t.Patches, is) {
			t.Patches = append(t.Patches, triedPatch(p, op))
		}
	}
	return t
}

// triedChild says what was done about a child, of which op is what is planned now.
func triedChild(p *pass, op Op) TriedChild {
	c := TriedChild{
		ID: op.ID, Action: op.Action, Reason: op.Reason, Message: p.secrets.clean(op.Message),
		Ready: op.Ready, NotReady: p.secrets.clean(op.NotReady),
	}
	if d := op.Desired; d != nil {
		c.Kind, c.Name, c.After, c.Generated, c.Desired = d.Kind, d.Name, d.After, d.generate != nil, d.tree
		if d.full != nil && (op.Observed == nil || c.Generated) {
			c.Desired = d.full
		}
	} else if source, ok := p.sourceOf(op.ID); ok {
		c.Kind = source.GroupVersionKind()
	}
	if op.Observed != nil && c.Name == "" {
		c.Name = op.Observed.marks.child
	}
	first, done := p.trace.firstOf(op.ID)
	if done && (op.Action == Skip || op.Desired == nil || first.Action == Recreate && op.Action != Refuse) {
		c.Action, c.Reason = first.Action, first.Reason
		if c.Message == "" {
			c.Message = p.secrets.clean(first.Message)
		}
	}
	return c
}

// triedPatch is triedChild for a patch.
func triedPatch(p *pass, op PatchOp) TriedPatch {
	c := TriedPatch{ID: op.ID, Action: op.Action, Reason: op.Reason, Message: p.secrets.clean(op.Message)}
	if d := op.Desired; d != nil {
		c.Kind, c.Name, c.Desired = d.Kind, d.Name, d.tree
	} else if op.Observed != nil {
		c.Kind = op.Observed.Kind
	}
	if first, done := p.trace.firstPatchOf(op.ID); done && op.Action == Skip {
		c.Action, c.Reason = first.Action, first.Reason
	}
	return c
}
