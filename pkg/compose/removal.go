package compose

import (
	"context"
	"errors"
	"slices"

	"github.com/go-logr/logr"
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
	// Versions are those in which the first of several runs has seen parents. Each run adds to it.
	// Those who may take children over have to know these versions, and not later and later ones:
	// a parent may change all the time. If it is nil, each run is the first.
	Versions map[types.UID]string
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
// the patched objects: none of them is of a parent that has come in between. What cannot be done
// keeps nothing else from being done, and is in the error.
func (r *Removal) Run(ctx context.Context) (found Removed, err error) {
	children := r.children(ctx)
	patched := r.patched(ctx)
	found.Unserved = slices.Concat(children.unserved, patched.unserved)
	handled, err := r.handled(ctx)
	if err != nil {
		return found, errors.Join(children.err, err)
	}
	busy, childErr := r.treatAll(ctx, children, handled, &found)
	if err := ended(ctx); err != nil { // Not all parents that are busy are known.
		return found, errors.Join(childErr, err)
	}
	stay, patchErr := r.treatAllPatched(ctx, patched, handled)
	found.Patched = stay
	if children.err == nil || !r.acts() { // Else, each parent may have children that are to go first.
		found.Finalizers, err = r.removeFinalizers(ctx, busy) // A patch that is left needs no parent.
	}
	return found, errors.Join(childErr, patchErr, err)
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

// removeFinalizers removes the finalizer from the parents that are not handled any more, but for
// those with children that are going.
func (r *Removal) removeFinalizers(ctx context.Context, busy map[types.UID]bool) (n int, err error) {
	if r.Scope.Finalizer == "" {
		return 0, nil
	}
	kind := schema.FromAPIVersionAndKind(r.Scope.APIVersion, r.Scope.Kind)
	all, err := r.parents(ctx)
	parents := slices.DeleteFunc(all, func(parent handlers.Object) bool {
		return busy[parent.UID()] || !slices.Contains(parent.Metadata().Finalizers, r.Scope.Finalizer)
	})
	if len(parents) == 0 {
		return 0, err
	}
	handled, handledErr := r.handled(ctx)
	if handledErr != nil {
		return n, errors.Join(err, handledErr)
	}
	var errs []error
	for _, parent := range parents {
		if handled[parent.UID()] || ctx.Err() != nil {
			continue
		}
		tellFinalizer(r, kind, parent)
		if err := r.removeFinalizer(ctx, kind, parent); err != nil {
			errs = append(errs, err)
			continue
		}
		n++
	}
	return n, errors.Join(err, joinFirst(errs, "parents"))
}

// parents are those that the definition may have handled, as the API server has them now. With an
// error, they are not all.
func (r *Removal) parents(ctx context.Context) (all []handlers.Object, err error) {
	kind := schema.FromAPIVersionAndKind(r.Scope.APIVersion, r.Scope.Kind)
	var errs []error
	for _, namespace := range orAll(r.Scope.Namespaces) {
		objects, _, err := r.Client.list(ctx, query{kind: kind, namespace: namespace})
		if err != nil && !kinds.IsNotServed(err) {
			errs = append(errs, err)
		}
		all = append(all, objects...)
	}
	return all, joinFirst(errs, "namespaces")
}

func (r *Removal) removeFinalizer(ctx context.Context, kind schema.GroupVersionKind, parent handlers.Object) error {
	resource, err := r.Client.resource(ctx, kind)
	if err != nil {
		return err
	}
	client := r.Dynamic.Resource(kind.GroupVersion().WithResource(resource.Name)).Namespace(parent.Namespace())
	return kube.RemoveFinalizer(ctx, client, parent, r.Scope.Finalizer)
}
