package compose

import (
	"context"
	"encoding/json"
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

// WithdrawPatches does with all patches of the definition what OnRemove says: with "delete" they
// are withdrawn, with "orphan" the fields stay and belong to nobody, and else they stay as they
// are. It returns how many stay. Kinds that are not served are left out.
func (r *Removal) WithdrawPatches(ctx context.Context) (stay int, err error) {
	return r.withdrawPatches(ctx, nil)
}

// withdrawPatches leaves out those of parents that are handled.
func (r *Removal) withdrawPatches(ctx context.Context, handled map[types.UID]bool) (stay int, err error) {
	for _, patched := range r.Scope.Patches {
		kind := schema.FromAPIVersionAndKind(patched.APIVersion, patched.Kind)
		for _, namespace := range orAll(patched.Namespaces) {
			objects, _, err := r.Client.list(ctx, query{
				kind: kind, namespace: namespace, manager: PatchManagers,
				labels: labels.Set{PatchedLabel(r.Installation): PatchedValue},
			})
			if kinds.IsNotServed(err) {
				continue
			}
			if err != nil {
				return stay, err
			}
			for _, object := range objects {
				managers := r.managersOn(object, handled)
				if len(managers) == 0 || slices.Contains(patched.Except, object.Namespace()) {
					continue
				}
				stays, err := r.treatPatched(ctx, kind, object, managers)
				if err != nil {
					return stay, err
				}
				if stays {
					stay++
				}
			}
		}
	}
	return stay, nil
}

// managersOn are the field managers by which the definition contributes to an object, for parents
// that are not handled.
func (r *Removal) managersOn(object handlers.Object, handled map[types.UID]bool) (managers []string) {
	for manager, owned := range kube.AppliedBy(object) {
		definition, parent, ok := ParsePatchManager(manager)
		isOurs := definition == r.Definition || slices.Contains(r.Formerly, definition)
		if ok && isOurs && !handled[parent] && ownerOf(owned, r.Installation) == "" {
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
	switch r.Scope.OnRemove {
	case onRemoveOrphan:
		err = r.releasePatches(ctx, t, object.UID(), managers)
	case onRemoveDelete:
		for _, manager := range managers {
			var body []byte
			if body, err = emptyBody(kind, id, object.UID()); err == nil {
				_, err = applyPatch(ctx, r.Client, t, manager, body)
			}
			if err != nil {
				break
			}
		}
	default:
		return true, nil
	}
	if err == nil || apierrors.IsNotFound(err) {
		return false, nil
	}
	return false, fmt.Errorf("withdrawing the patch of %s: %w", id, err)
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
