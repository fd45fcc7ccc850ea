package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// Why patches of a kind are not withdrawn yet.
var (
	errPaused     = errors.New("parents that have contributed are paused")
	errNotUpdated = errors.New("parents that have contributed are not updated yet by the rollout")
)

// WithdrawPatches does with the patches of the definition what OnRemove says: with "delete" they
// are withdrawn, with "orphan" the fields stay and belong to nobody, and else they stay as they
// are. Those of parents that exist and that Now does not select stay, and so do those of parents
// that are paused, or that are not updated yet. The error says all that keeps something from being
// done, kinds that are not served and such parents among that: it is to be tried again.
func (r *Removal) WithdrawPatches(ctx context.Context) error {
	patched := r.patched(ctx)
	kept, waiting, err := r.keptParents(ctx, patched)
	if err != nil {
		return errors.Join(patched.err, err)
	}
	_, err = r.treatAllPatched(ctx, patched, kept)
	errs := []error{err}
	for _, kind := range patched.unserved {
		errs = append(errs, fmt.Errorf("%s %s is not served", kind.APIVersion, kind.Kind)) //nolint:err113 // for a person
	}
	for _, why := range []error{errPaused, errNotUpdated} {
		has := func(manager string) bool {
			_, parent, _ := ParsePatchManager(manager)
			return waiting[parent] == why //nolint:errorlint // it is one of both
		}
		if slices.ContainsFunc(patched.objects, func(o patchedObject) bool { return slices.ContainsFunc(r.managersOn(o.object, nil), has) }) {
			errs = append(errs, why)
		}
	}
	return errors.Join(errs...)
}

// patchedObject is one to which somebody contributes.
type patchedObject struct {
	object handlers.Object
	kind   schema.GroupVersionKind
}

// patchedObjects are those of some kinds.
type patchedObjects struct {
	objects  []patchedObject
	unserved []OwnedRecord // kinds that are not served
	err      error         // what else could not be looked at
}

// patched are the patched objects of the installation, as the API server has them now.
func (r *Removal) patched(ctx context.Context) (all patchedObjects) {
	for _, patched := range r.Scope.Patches {
		kind := patched.GroupVersionKind()
		for _, namespace := range orAll(patched.Namespaces) {
			objects, _, err := r.Client.list(ctx, query{
				kind: kind, namespace: namespace, manager: PatchManagers,
				labels: labels.Set{PatchedLabel(r.Installation): PatchedValue},
			})
			if kinds.IsNotServed(err) {
				all.unserved = append(all.unserved, patched)
				break
			}
			all.err = errors.Join(all.err, err)
			for _, object := range objects {
				if !slices.Contains(patched.Except, object.Namespace()) {
					all.objects = append(all.objects, patchedObject{object: object, kind: kind})
				}
			}
		}
	}
	return all
}

// treatAllPatched does with what is contributed to objects what is to be done, but for what is of
// some parents. It returns to how many of them something stays contributed. The errors come
// together, with what could not be looked at.
func (r *Removal) treatAllPatched(ctx context.Context, patched patchedObjects, but map[types.UID]bool) (stay int, err error) {
	errs := []error{patched.err}
	for _, object := range patched.objects {
		managers := r.managersOn(object.object, but)
		if len(managers) == 0 {
			continue
		}
		stays, err := r.treatPatched(ctx, object.kind, object.object, managers)
		if stays {
			stay++
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return stay, errors.Join(errs...)
}

// keptParents are the parents in the namespaces of the definition whose patches stay, because they
// are not handled, and those whose patches stay for now, with what they wait for. One that is being
// deleted is not among them. Where some are left that are not in those namespaces, all that are not
// found there may be of those.
func (r *Removal) keptParents(ctx context.Context, patched patchedObjects) (kept map[types.UID]bool, waiting map[types.UID]error, err error) {
	if r.Now == nil {
		return nil, nil, nil
	}
	var all []handlers.Object
	for _, namespace := range orAll(r.Now.Namespaces) {
		q := query{kind: r.Now.Kind, namespace: namespace, whole: r.Now.Where != nil}
		if kube.SelectedName(r.Now.Fields) != "" { // There may be no right to see others.
			q.fields = r.Now.Fields.String()
		}
		objects, _, err := r.Client.list(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, objects...)
	}
	var selected map[types.UID]bool
	if r.Now.Fields != nil {
		if selected, err = r.handled(ctx); err != nil {
			return nil, nil, err
		}
	}
	kept, waiting = map[types.UID]bool{}, map[types.UID]error{}
	if leavesOthers(r) {
		kept = unknownParents(r, patched, all)
	}
	for _, parent := range all {
		switch handled := r.Now.selects(ctx, parent) && (selected == nil || selected[parent.UID()]); {
		case parent.Metadata().DeletionTimestamp != nil:
		case !handled:
			kept[parent.UID()] = true
		case isPaused(parent.Metadata()):
			kept[parent.UID()], waiting[parent.UID()] = true, errPaused
		case r.Updated != nil && !r.Updated(parent.UID()):
			kept[parent.UID()], waiting[parent.UID()] = true, errNotUpdated
		}
	}
	return kept, waiting, nil
}

// managersOn are the field managers by which the definition contributes to an object, for all
// parents but some.
func (r *Removal) managersOn(object handlers.Object, but map[types.UID]bool) (managers []string) {
	for manager, owned := range kube.AppliedBy(object) {
		definition, parent, ok := ParsePatchManager(manager)
		isOurs := definition == r.Definition || slices.Contains(r.Formerly, definition)
		if ok && isOurs && !but[parent] && ownerOf(owned, r.Installation) == "" {
			managers = append(managers, manager)
		}
	}
	slices.Sort(managers)
	return managers
}

// treatPatched does with what some managers have contributed what is to be done.
func (r *Removal) treatPatched(ctx context.Context, kind schema.GroupVersionKind, object handlers.Object, managers []string) (stays bool, err error) {
	id := ChildID{Kind: kind.GroupKind(), Namespace: object.Namespace(), Name: object.Name()}
	t := target{kind: kind, namespace: id.Namespace, name: id.Name, metadataOnly: true}
	tellPatched(r, id, kind)
	var errs []error
	switch r.Scope.OnRemove {
	case onRemoveOrphan:
		errs = append(errs, r.releasePatches(ctx, t, object.UID(), managers))
	case onRemoveDelete:
		body, err := emptyBody(kind, id, object.UID())
		if err != nil {
			return false, fmt.Errorf("withdrawing the patch of %s: %w", id, err)
		}
		for _, manager := range managers { // What one parent has contributed keeps nothing of others.
			_, err := applyPatch(ctx, r.Client, t, manager, body)
			errs = append(errs, err)
		}
	default:
		return true, nil
	}
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil || apierrors.IsNotFound(err) })
	if len(errs) == 0 {
		return false, nil
	}
	return false, fmt.Errorf("withdrawing the patch of %s: %w", id, joinFirst(errs, "patches"))
}

// releasePatches leaves to nobody what some managers have contributed to an object, in the very
// version that was read. The mark goes with the last one.
func (r *Removal) releasePatches(ctx context.Context, t target, uid types.UID, managers []string) error {
	body, err := r.Client.getManaged(ctx, t)
	if err != nil {
		return err
	}
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(body, &object); err != nil {
		return fmt.Errorf("decoding the metadata: %w", err)
	}
	if object.UID != uid {
		return nil // It is another one, which the next look finds.
	}
	left := slices.DeleteFunc(object.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Operation == metav1.ManagedFieldsOperationApply && slices.Contains(managers, entry.Manager)
	})
	marked := slices.ContainsFunc(left, func(entry metav1.ManagedFieldsEntry) bool {
		set, err := fieldsOf(entry)
		return strings.HasPrefix(entry.Manager, PatchManagers) && err == nil && set.Has(patchedPath(r.Installation))
	})
	if len(left) == 0 {
		left = []metav1.ManagedFieldsEntry{{}} // An empty list would change nothing.
	}
	operations := []map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": uid},
		{"op": "replace", "path": "/metadata/managedFields", "value": left},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": object.ResourceVersion},
	}
	if _, there := object.Labels[PatchedLabel(r.Installation)]; there && !marked {
		path := "/metadata/labels/" + strings.ReplaceAll(PatchedLabel(r.Installation), "/", "~1")
		operations = append(operations, map[string]any{"op": "remove", "path": path})
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	_, err = r.Client.jsonPatch(ctx, t, patch)
	return err
}
