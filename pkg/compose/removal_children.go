package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/kinds"
)

// leftChildren are the children that a removal has found.
type leftChildren struct {
	all      []observedChild
	unserved []OwnedRecord // kinds that are not served
	err      error         // what else could not be looked at
}

// children are the children of the definition, as the API server has them now, but for those of
// kinds that are not served.
func (r *Removal) children(ctx context.Context) (found leftChildren) {
	ofDefinition, _ := Identity{Definition: r.Definition, Formerly: r.Formerly}.selector().Requirements()
	marks := labels.Set{InstallationLabel: r.Installation}.AsSelector().Add(ofDefinition...).String()
	var errs []error
	for _, owned := range r.inOrder() {
		for _, namespace := range orAll(owned.Namespaces) {
			objects, _, err := r.Client.list(ctx, query{kind: owned.GroupVersionKind(), namespace: namespace, selector: marks})
			if kinds.IsNotServed(err) {
				found.unserved = append(found.unserved, owned)
				break
			}
			if err != nil {
				errs = append(errs, err)
			}
			for _, object := range objects {
				found.all = append(found.all, observe(object, true))
			}
		}
	}
	found.err = joinFirst(errs, "lists")
	return found
}

// inOrder are the kinds, those of namespaces last: what is in them decides on them.
func (r *Removal) inOrder() []OwnedRecord {
	owns := slices.Clone(r.Scope.Owns)
	isNamespace := func(o OwnedRecord) int {
		if o.GroupKind() == namespaceGroupKind {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(owns, func(a, b OwnedRecord) int { return isNamespace(a) - isNamespace(b) })
	return owns
}

func orAll(namespaces []string) []string {
	if len(namespaces) == 0 {
		return []string{""}
	}
	return namespaces
}

// treating is a removal that looks at all children, once.
type treating struct {
	*Removal
	claims claims
	blind  bool               // not all children are known
	kept   []string           // namespaces with children that stay, or that may have to
	busy   map[types.UID]bool // the parents of children that are not done with
	found  *Removed
}

// treatAll does with all children what is to be done, but for those of parents that are handled.
// busy are the parents of those that are going. One with which something cannot be done is among
// these, and keeps no other child.
func (r *Removal) treatAll(
	ctx context.Context, children leftChildren, handled map[types.UID]bool, found *Removed,
) (busy map[types.UID]bool, err error) {
	t := treating{Removal: r, claims: claims{Removal: r}, blind: children.err != nil, busy: map[types.UID]bool{}, found: found}
	var errs []error
	for _, child := range children.all {
		if handled[child.marks.parentUID] || ctx.Err() != nil {
			continue
		}
		outcome, err := t.treat(ctx, child)
		if err != nil {
			outcome = childUnclear
			errs = append(errs, err)
		}
		t.note(child, outcome)
	}
	return t.busy, errors.Join(children.err, joinFirst(errs, "children"))
}

// childOutcome is what a removal has done with a child.
type childOutcome int

const (
	childStays   childOutcome = iota // it is left as it is
	childFree                        // it belongs to nobody any more
	childGoes                        // it is being deleted
	childUnclear                     // it is to be looked at again, and may stay
)

// note counts a child.
func (t *treating) note(child observedChild, outcome childOutcome) {
	switch outcome {
	case childStays:
		t.found.Stay++
	case childGoes, childUnclear:
		t.found.Going++
		t.busy[child.marks.parentUID] = true
	case childFree:
	}
	if outcome == childStays || outcome == childUnclear {
		t.kept = append(t.kept, child.ID.Namespace)
	}
}

// treat does with a child what is to be done. One that is not provably ours always stays, as do
// those of protected kinds, and namespaces in which one is kept.
func (t *treating) treat(ctx context.Context, o observedChild) (childOutcome, error) {
	claim, err := t.claims.of(ctx, o)
	if err != nil {
		return childUnclear, err
	}
	if claim != "" {
		tell(t.Removal, o, Wait, ReasonMoving, claim)
		t.found.Claimed++
		t.found.Claim = cmp.Or(t.found.Claim, fmt.Sprintf("%s: %s", o.ID, claim))
		return childUnclear, nil
	}
	judge := &planner{Input: Input{Installation: t.Installation, Definition: t.Definition, Parent: Parent{UID: o.marks.parentUID}}}
	switch {
	case !t.acts():
		tell(t.Removal, o, Retain, ReasonRemoved, "")
		return childStays, nil
	case o.marks.parentUID == "" || !judge.proven(o.Observed) || !ownsLabel(o.Observed, DefinitionLabel):
		tell(t.Removal, o, Retain, ReasonForeign, notOurs(o.Observed))
		return childStays, nil
	case t.Scope.OnRemove == onRemoveOrphan:
		tell(t.Removal, o, MakeOrphan, ReasonRemoved, "")
		return t.orphan(ctx, o)
	case slices.Contains(protected, o.ID.Kind) && !o.marks.prune:
		tell(t.Removal, o, Retain, ReasonProtected, "objects of its kind are deleted only where that child says so")
		return childStays, nil
	}
	switch inUse := t.inUse(o); {
	case inUse != "":
		tell(t.Removal, o, Retain, ReasonInUse, inUse)
		return childStays, nil
	case o.Deleting:
		return childGoes, nil
	}
	tell(t.Removal, o, Delete, ReasonRemoved, "")
	return t.delete(ctx, o)
}

// inUse says why a namespace that would be deleted is not; empty if it may be, or is none.
func (t *treating) inUse(o observedChild) string {
	switch {
	case o.ID.Kind != namespaceGroupKind:
		return ""
	case slices.Contains(t.kept, o.ID.Name):
		return "it has children that are kept"
	case t.blind:
		return "not all that may be in it could be looked at"
	case o.Deleting:
		return ""
	}
	return insideOf(t.Moves, cmp.Or(t.MovesAs, t.Definition), o.ID.Name)
}

func (t *treating) target(o observedChild) target {
	return target{kind: o.kind, namespace: o.ID.Namespace, name: o.ID.Name, metadataOnly: true}
}

// delete deletes a child in the very version that was proven. Another version is for the next look.
func (t *treating) delete(ctx context.Context, o observedChild) (childOutcome, error) {
	_, err := t.Client.delete(ctx, t.target(o), o.UID, o.ResourceVersion)
	switch reason := reasonFor(err); {
	case err == nil, reason == reasonNotFound:
		return childGoes, nil
	case reason == reasonStale:
		return childUnclear, nil
	}
	return childUnclear, fmt.Errorf("deleting %s: %w", o.ID, err)
}

// orphan takes the marks and the owner reference off a child in the very version that was proven.
// Another version is for the next look.
func (t *treating) orphan(ctx context.Context, o observedChild) (childOutcome, error) {
	references := []any{}
	for _, reference := range o.references {
		if reference.UID != o.marks.parentUID {
			references = append(references, reference)
		}
	}
	err := t.Client.patchMetadata(ctx, t.target(o), map[string]any{
		"uid": o.UID, "resourceVersion": o.ResourceVersion, "ownerReferences": references,
		"labels":      map[string]any{InstallationLabel: nil, DefinitionLabel: nil, ParentUIDLabel: nil},
		"annotations": map[string]any{ParentAnnotation: nil, ChildAnnotation: nil, AppliedAnnotation: nil, PruneAnnotation: nil},
	})
	switch reason := reasonFor(err); {
	case err == nil, reason == reasonNotFound:
		return childFree, nil
	case reason == reasonStale:
		return childUnclear, nil
	}
	return childUnclear, fmt.Errorf("taking the marks off %s: %w", o.ID, err)
}
