package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube/wire"
)

// maxFinalizerTries is how often a finalizer is added or removed anew because the finalizers have
// changed meanwhile: at a deletion, several parties may remove theirs at the same time.
const maxFinalizerTries = 5

var (
	// errReplaced means that another object has the name by now.
	errReplaced = errors.New("another object has its name by now")
	// errFinalizersChange means that there was no end to the tries.
	errFinalizersChange = errors.New("its finalizers keep changing")
)

// AddFinalizer makes sure that an object has a finalizer, by client, which is that of the object's
// kind and namespace. It returns the object with the finalizer. ok is false when the object is
// gone or being deleted: then nothing was added.
//
// Others that the object has go with the same request: those for which this one stands from now on.
//
// It takes one request, and none when obj has the finalizer. That is a JSON patch, which needs the
// right to patch alone and never creates an object. It holds for the object with obj's UID, and for
// the finalizers that obj has. If others have changed these, they are read and the patch is made
// anew.
func AddFinalizer(
	ctx context.Context, client dynamic.ResourceInterface, obj handlers.Object, name string, instead ...string,
) (now handlers.Object, ok bool, err error) {
	now, err = editFinalizers(ctx, client, obj, func(seen *metav1.ObjectMeta) []patchOperation {
		left := withoutFinalizers(seen, instead)
		if seen.DeletionTimestamp != nil || slices.Contains(left, name) && len(left) == len(seen.Finalizers) {
			return nil
		}
		if !slices.Contains(left, name) {
			left = append(left, name)
		}
		return []patchOperation{
			{Op: "test", Path: "/metadata/finalizers", Value: seen.Finalizers}, // null if there are none
			{Op: "add", Path: "/metadata/finalizers", Value: left},
		}
	})
	switch {
	case isGone(err) || refusesFinalizers(err):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("adding finalizer %s: %w", name, err)
	}
	return now, now.Metadata().DeletionTimestamp == nil, nil
}

// withoutFinalizers returns the finalizers but those of some names. The result is the caller's own.
func withoutFinalizers(seen *metav1.ObjectMeta, names []string) []string {
	return slices.DeleteFunc(slices.Clone(seen.Finalizers), func(other string) bool { return slices.Contains(names, other) })
}

// RemoveFinalizer makes sure that an object does not have any of some finalizers, in the way of
// AddFinalizer. An object that is gone has none.
func RemoveFinalizer(ctx context.Context, client dynamic.ResourceInterface, obj handlers.Object, names ...string) error {
	_, err := editFinalizers(ctx, client, obj, func(seen *metav1.ObjectMeta) []patchOperation {
		left := withoutFinalizers(seen, names)
		if len(left) == len(seen.Finalizers) {
			return nil
		}
		return []patchOperation{
			{Op: "test", Path: "/metadata/finalizers", Value: seen.Finalizers},
			{Op: "replace", Path: "/metadata/finalizers", Value: left},
		}
	})
	if err != nil && !isGone(err) {
		return fmt.Errorf("removing finalizer %s: %w", names[len(names)-1], err)
	}
	return nil
}

// patchOperation is one operation of a JSON patch.
type patchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// editFinalizers sends what edit asks for, until it asks for nothing or that was carried out. It
// returns the object as it is then.
func editFinalizers(
	ctx context.Context, client dynamic.ResourceInterface, obj handlers.Object, edit func(seen *metav1.ObjectMeta) []patchOperation,
) (handlers.Object, error) {
	for range maxFinalizerTries {
		operations := edit(obj.Metadata())
		if operations == nil {
			return obj, nil
		}
		now, err := patchSame(ctx, client, obj, operations)
		if !failsTest(err) && !apierrors.IsConflict(err) {
			return now, err
		}
		// A patch that changes nothing reads the object, without the right to get it.
		if now, err = patchSame(ctx, client, obj, nil); failsTest(err) {
			return nil, errReplaced
		} else if err != nil {
			return nil, err
		}
		obj = now
	}
	return nil, errFinalizersChange
}

// patchSame patches the object that has the UID of obj.
func patchSame(
	ctx context.Context, client dynamic.ResourceInterface, obj handlers.Object, operations []patchOperation,
) (handlers.Object, error) {
	same := patchOperation{Op: "test", Path: "/metadata/uid", Value: obj.UID()}
	patch, err := json.Marshal(append([]patchOperation{same}, operations...))
	if err != nil {
		return nil, fmt.Errorf("encoding the patch: %w", err)
	}
	now, err := client.Patch(ctx, obj.Name(), types.JSONPatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, err
	}
	return handlers.ObjectOf(now)
}

// failsTest reports whether a JSON patch was refused because a test in it failed. Unlike an object
// that is invalid, that has no causes.
func failsTest(err error) bool {
	return apierrors.IsInvalid(err) && len(causesOf(err)) == 0
}

// refusesFinalizers reports whether a finalizer was refused because the object is being deleted.
func refusesFinalizers(err error) bool {
	return apierrors.IsInvalid(err) && slices.ContainsFunc(causesOf(err), func(cause metav1.StatusCause) bool {
		return cause.Field == "metadata.finalizers" && cause.Type == metav1.CauseType(field.ErrorTypeForbidden)
	})
}

// causesOf returns what the API server says is wrong in single fields.
func causesOf(err error) []metav1.StatusCause {
	failed, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || failed.ErrStatus.Details == nil {
		return nil
	}
	return failed.ErrStatus.Details.Causes
}

// isGone reports whether the object that was to be patched does not exist any more.
func isGone(err error) bool { return apierrors.IsNotFound(err) || errors.Is(err, errReplaced) }

// OnlyAddsFinalizer reports whether a change added one finalizer, and nothing else. It is cheap for
// all other changes.
func (e Event) OnlyAddsFinalizer(name string) bool {
	if e.old == nil || e.now == nil ||
		!bytes.Contains(e.now.MetadataBytes(), []byte(name)) || bytes.Contains(e.old.MetadataBytes(), []byte(name)) ||
		!wire.Finalizers.Same(&e.old.Object, &e.now.Object) {
		return false
	}
	old, err := e.old.Metadata()
	if err != nil {
		return false
	}
	now, err := e.now.Metadata()
	return err == nil && slices.Equal(append(old.Finalizers, name), now.Finalizers)
}
