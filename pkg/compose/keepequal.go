package compose

import (
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// keepsEqual returns the existing object of a child whose equal fields are to be left out, nil for
// none: only of one that is provably ours is known what was ours before.
func keepsEqual(p *pass, observed map[ChildID]observedChild) func(ChildID) *Observed {
	judge := &planner{Input: Input{Installation: p.Installation, Definition: p.Definition, Formerly: p.Formerly, Parent: p.parent}}
	return func(id ChildID) *Observed {
		o, ok := observed[id]
		if !ok || o.Owned == nil || !p.Identity.has(o.marks.definition) || !judge.proven(o.Observed) {
			return nil
		}
		return o.Observed
	}
}

// keepEqual takes out of a child what its object has with an equal value and what is not ours. An
// item of a list that may be ours stays: without it, the API server would remove it. What it has of
// the metadata of kooperd itself stays. A map of which nothing is ours may be atomic: it goes or
// stays as a whole, as an apply of a part of it would remove the rest.
func (d *Desired) keepEqual(o *Observed) error {
	live, err := o.Tree()
	if err != nil {
		return fmt.Errorf("reading %s: %w", d.ID, err)
	}
	leaves := uncoveredLeaves(d.tree, o.Owned)
	differ := map[*lost]bool{}
	leaves = slices.DeleteFunc(leaves, func(u uncovered) bool {
		differs := u.isMark() || u.maybeOurs || !o.Whole && !u.ofMetadata() || !u.equalLive(live)
		if differs && u.lost != nil {
			differ[u.lost] = true
		}
		return differs
	})
	for _, u := range leaves { // What they are within may not be looked at any more.
		if !differ[u.lost] {
			without(d.tree, u.steps)
		}
	}
	if !ownsAny(o.Owned, "status") {
		delete(d.tree, "status")
	}
	d.keepReferences(o)
	return nil
}

// isMark reports whether the leaf is a label or annotation that is a mark.
func (u uncovered) isMark() bool {
	return u.ofMetadata() && len(u.steps) > 2 && IsMark(u.steps[2].name)
}

func ownsAny(owned *fieldpath.Set, name string) bool {
	element := fieldpath.PathElement{FieldName: &name}
	return owned.Members.Has(element) || !child(owned, element).Empty()
}

// keepReferences takes out the owner references of others.
func (d *Desired) keepReferences(o *Observed) {
	metadata := object(d.tree, "metadata")
	references, _ := metadata["ownerReferences"].([]any)
	references = slices.DeleteFunc(references, func(item any) bool {
		reference, _ := item.(map[string]any)
		uid, _ := reference["uid"].(string)
		return uid != string(o.marks.parentUID) && !slices.Contains(o.OwnedReferences, types.UID(uid)) &&
			hasReferences(map[string]any{"metadata": map[string]any{"ownerReferences": []any{item}}}, o.references)
	})
	if metadata["ownerReferences"] = references; len(references) == 0 {
		delete(metadata, "ownerReferences")
	}
}

// without takes out of a tree what steps lead to, and what is empty then around it. It reports
// whether something is left.
func without(value any, steps []step) (rest any, left bool) {
	if len(steps) == 0 {
		return nil, false
	}
	if s := steps[0]; s.list {
		items, _ := value.([]any)
		i := slices.IndexFunc(items, s.isItem)
		if i < 0 {
			return value, true
		}
		items = slices.Clone(items)
		if item, left := without(items[i], steps[1:]); left {
			items[i] = item
		} else {
			items = slices.Delete(items, i, i+1)
		}
		return items, len(items) > 0
	}
	fields, _ := value.(map[string]any)
	if member, left := without(fields[steps[0].name], steps[1:]); left {
		fields[steps[0].name] = member
	} else {
		delete(fields, steps[0].name)
	}
	return fields, len(fields) > 0
}

// isItem reports whether an item of the list that was walked through is the very one of the step.
// An object may have lost fields since.
func (s step) isItem(item any) bool {
	a, isObject := item.(map[string]any)
	b, alsoObject := s.item.(map[string]any)
	if isObject && alsoObject {
		return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
	}
	return reflect.DeepEqual(item, s.item)
}

// isAsObserved reports whether the object is what is desired, with nothing of ours besides: then it
// makes no difference in which words that was desired before.
func (d *Desired) isAsObserved(o *Observed) bool {
	live, err := o.Tree()
	if err != nil || !o.Whole || o.marks.applied == "" || !hasReferences(d.tree, o.references) {
		return false
	}
	differs := func(u uncovered) bool { return !u.equalLive(live) }
	if slices.ContainsFunc(uncoveredLeaves(d.tree, o.Owned), func(u uncovered) bool { return !isEmpty(u.want) }) ||
		slices.ContainsFunc(coveredLeaves(d.tree, o.Owned), differs) {
		return false
	}
	return !hasOthers(d.tree, o.Owned.Difference(notDesired))
}

// notDesired is what is ours of each child and stands in no tree that is compared.
var notDesired = fieldpath.NewSet(
	fieldpath.MakePathOrDie("metadata", "annotations", AppliedAnnotation), fieldpath.MakePathOrDie("metadata", "annotations", AdoptedAnnotation),
)
