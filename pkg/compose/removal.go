package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// What becomes of children that the file does not want any more, as Scope.OnRemove says it.
// Anything else retains them.
const (
	onRemoveOrphan = "orphan"
	onRemoveDelete = "delete"
)

// Removal is what is done once the file does not want children of a definition any more: it is
// gone, or handles other objects. It goes by the records and by what is proven, and needs no
// definition.
type Removal struct {
	// Installation and Definition are the marks of the children.
	Installation, Definition string
	// Formerly are ids that the definition has had before, and no other one has now. What was made
	// under them may not have the mark of now.
	Formerly []string
	// Moves has the definitions that may take children over; nil for none. It knows the definition
	// as MovesAs, which differs where what is left is of a former id; empty for Definition.
	Moves   *Moves
	MovesAs string
	// Scope is what the definition had to do with.
	Scope Scope
	// Now is what it handles; nil for nothing.
	Now *Selection
	// Left is what it had to do with besides, for WithdrawPatches: there may be parents of that.
	Left []Scope
	// Updated reports for WithdrawPatches whether a parent has what the definition wants now, so
	// that a rollout does not hold it; nil for all.
	Updated func(parent types.UID) bool
	// Client and Dynamic make the requests. Both have the gate in them.
	Client  *Client
	Dynamic dynamic.Interface
	// Logger carries the definition's name.
	Logger logr.Logger
	// Tell is called for each object with what becomes of it, before that is done; nil for nobody.
	Tell func(Leftover)
}

// Removed is what a Removal has found.
type Removed struct {
	// Stay is how many children stay, and Going how many are being deleted: the removal has to go
	// on until they are gone.
	Stay, Going int
	// Claimed is how many of those that are going wait for another definition, which may take them
	// over, and Claim says of one of them what it waits for.
	Claimed int
	Claim   string
	// Finalizers is how many finalizers were removed.
	Finalizers int
	// Unserved are the kinds that could not be looked at, because they are not served: there may be
	// children when they return.
	Unserved []OwnedRecord
	// Patched is to how many objects something stays contributed.
	Patched int
}

// Waits reports whether there is something to do when kinds are served again.
func (r *Removal) Waits(found Removed) bool { return r.acts() && len(found.Unserved) > 0 }

// acts reports whether anything is done to the children.
func (r *Removal) acts() bool {
	return r.Scope.OnRemove == onRemoveOrphan || r.Scope.OnRemove == onRemoveDelete
}

// Run does what can be done now. What the definition handles is looked at after the children and
// the patched objects: none of them is of a parent that has come in between. What cannot be
// withdrawn keeps nothing else.
func (r *Removal) Run(ctx context.Context) (found Removed, err error) {
	children, unserved, err := r.children(ctx)
	found.Unserved = unserved
	if err != nil {
		return found, err
	}
	patched := r.patched(ctx)
	found.Unserved = append(found.Unserved, patched.unserved...)
	handled, err := r.handled(ctx)
	if err != nil {
		return found, err
	}
	busy, err := r.treatAll(ctx, children, handled, &found)
	if err != nil {
		return found, err
	}
	stay, patchErr := r.treatAllPatched(ctx, patched, handled)
	found.Patched = stay
	found.Finalizers, err = r.removeFinalizers(ctx, busy) // A patch that is left needs no parent.
	return found, errors.Join(patchErr, err)
}

// treatAll does with all children what is to be done, but for those of parents that are handled.
// busy are the parents of those that are going.
func (r *Removal) treatAll(
	ctx context.Context, children []observedChild, handled map[types.UID]bool, found *Removed,
) (busy map[types.UID]bool, err error) {
	busy = map[types.UID]bool{}
	claims := claims{Removal: r}
	var kept []string // namespaces with children that stay
	for _, child := range children {
		parent := child.marks.parentUID
		if handled[parent] {
			continue
		}
		claim, err := claims.of(ctx, child)
		if err != nil {
			return nil, err
		}
		if claim != "" {
			tell(r, child, Wait, ReasonMoving, claim)
			kept = append(kept, child.ID.Namespace) // It goes on there.
			busy[parent] = true
			found.Going++
			found.Claimed++
			found.Claim = cmp.Or(found.Claim, fmt.Sprintf("%s: %s", child.ID, claim))
			continue
		}
		stays, err := r.treat(ctx, child, kept)
		switch {
		case err != nil:
			return nil, err
		case stays:
			kept = append(kept, child.ID.Namespace)
			found.Stay++
		case r.Scope.OnRemove == onRemoveDelete:
			busy[parent] = true
			found.Going++
		}
	}
	return busy, nil
}

// children are the children of the definition, as the API server has them now, but for those of
// kinds that are not served.
func (r *Removal) children(ctx context.Context) (all []observedChild, unserved []OwnedRecord, err error) {
	ofDefinition, _ := Identity{Definition: r.Definition, Formerly: r.Formerly}.selector().Requirements()
	marks := labels.Set{InstallationLabel: r.Installation}.AsSelector().Add(ofDefinition...).String()
	for _, owned := range r.inOrder() {
		for _, namespace := range orAll(owned.Namespaces) {
			objects, _, err := r.Client.list(ctx, query{kind: owned.GroupVersionKind(), namespace: namespace, selector: marks})
			if kinds.IsNotServed(err) {
				unserved = append(unserved, owned)
				break
			}
			if err != nil {
				return nil, nil, err
			}
			for _, object := range objects {
				all = append(all, observe(object, true))
			}
		}
	}
	return all, unserved, nil
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

// handled are the parents that the definition handles, as the API server has them now.
func (r *Removal) handled(ctx context.Context) (map[types.UID]bool, error) {
	if r.Now == nil {
		return nil, nil
	}
	all := map[types.UID]bool{}
	for _, namespace := range orAll(r.Now.Namespaces) {
		objects, _, err := r.Client.list(ctx, r.Now.query(namespace))
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			if !r.Now.Where.excludes(ctx, object) {
				all[object.UID()] = true
			}
		}
	}
	return all, nil
}

// treat does with a child what is to be done. It reports whether the child stays. One that is not
// provably ours always does, as do those of protected kinds, and namespaces in which one is kept.
func (r *Removal) treat(ctx context.Context, o observedChild, kept []string) (stays bool, err error) {
	judge := &planner{Input: Input{Installation: r.Installation, Definition: r.Definition, Parent: Parent{UID: o.marks.parentUID}}}
	isNamespace := o.ID.Kind == namespaceGroupKind
	switch {
	case !r.acts():
		tell(r, o, Retain, ReasonRemoved, "")
		return true, nil
	case o.marks.parentUID == "" || !judge.proven(o.Observed) || !ownsLabel(o.Observed, DefinitionLabel):
		tell(r, o, Retain, ReasonForeign, notOurs(o.Observed))
		return true, nil
	case r.Scope.OnRemove == onRemoveOrphan:
		tell(r, o, MakeOrphan, ReasonRemoved, "")
		return false, r.orphan(ctx, o)
	case slices.Contains(protected, o.ID.Kind) && !o.marks.prune:
		tell(r, o, Retain, ReasonProtected, "objects of its kind are deleted only where that child says so")
		return true, nil
	case isNamespace && slices.Contains(kept, o.ID.Name):
		tell(r, o, Retain, ReasonInUse, "it has children that are kept")
		return true, nil
	case o.Deleting:
		return false, nil
	}
	tell(r, o, Delete, ReasonRemoved, "")
	_, err = r.Client.delete(ctx, r.target(o), o.UID, o.ResourceVersion)
	if reason := reasonFor(err); err == nil || reason == reasonStale || reason == reasonNotFound {
		return false, nil
	}
	return false, fmt.Errorf("deleting %s: %w", o.ID, err)
}

func (r *Removal) target(o observedChild) target {
	return target{kind: o.kind, namespace: o.ID.Namespace, name: o.ID.Name, metadataOnly: true}
}

// orphan takes the marks and the owner reference off a child, in the very version that was proven.
func (r *Removal) orphan(ctx context.Context, o observedChild) error {
	references := []any{}
	for _, reference := range o.references {
		if reference.UID != o.marks.parentUID {
			references = append(references, reference)
		}
	}
	err := r.Client.patchMetadata(ctx, r.target(o), map[string]any{
		"uid": o.UID, "resourceVersion": o.ResourceVersion, "ownerReferences": references,
		"labels":      map[string]any{InstallationLabel: nil, DefinitionLabel: nil, ParentUIDLabel: nil},
		"annotations": map[string]any{ParentAnnotation: nil, ChildAnnotation: nil, AppliedAnnotation: nil, PruneAnnotation: nil},
	})
	if reason := reasonFor(err); err == nil || reason == reasonNotFound {
		return nil
	}
	return fmt.Errorf("taking the marks off %s: %w", o.ID, err)
}

// removeFinalizers removes the finalizer from the parents that are not handled any more, but for
// those with children that are going.
func (r *Removal) removeFinalizers(ctx context.Context, busy map[types.UID]bool) (n int, err error) {
	if r.Scope.Finalizer == "" {
		return 0, nil
	}
	kind := schema.FromAPIVersionAndKind(r.Scope.APIVersion, r.Scope.Kind)
	all, err := r.parents(ctx)
	if err != nil {
		return n, err
	}
	parents := slices.DeleteFunc(all, func(parent handlers.Object) bool {
		return busy[parent.UID()] || !slices.Contains(parent.Metadata().Finalizers, r.Scope.Finalizer)
	})
	if len(parents) == 0 {
		return 0, nil
	}
	handled, err := r.handled(ctx)
	if err != nil {
		return n, err
	}
	for _, parent := range parents {
		if handled[parent.UID()] {
			continue
		}
		tellFinalizer(r, kind, parent)
		if err := r.removeFinalizer(ctx, kind, parent); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// parents are those that the definition may have handled, as the API server has them now.
func (r *Removal) parents(ctx context.Context) (all []handlers.Object, err error) {
	kind := schema.FromAPIVersionAndKind(r.Scope.APIVersion, r.Scope.Kind)
	for _, namespace := range orAll(r.Scope.Namespaces) {
		objects, _, err := r.Client.list(ctx, query{kind: kind, namespace: namespace})
		if err != nil && !kinds.IsNotServed(err) {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

func (r *Removal) removeFinalizer(ctx context.Context, kind schema.GroupVersionKind, parent handlers.Object) error {
	resource, err := r.Client.resource(ctx, kind)
	if err != nil {
		return err
	}
	client := r.Dynamic.Resource(kind.GroupVersion().WithResource(resource.Name)).Namespace(parent.Namespace())
	return kube.RemoveFinalizer(ctx, client, parent, r.Scope.Finalizer)
}
