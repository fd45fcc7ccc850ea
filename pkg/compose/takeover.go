package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/csaupgrade"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// readLive reads an object with its managedFields, past the caches. One that is not there is no
// failure.
func (x *executor) readLive(ctx context.Context, t target, id ChildID) (*observedChild, *opError) {
	body, err := x.Client.getManaged(ctx, t)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there is none, and that is no failure
	}
	if err != nil {
		return nil, failed("reading", id, err)
	}
	o, err := observeLive(body, t)
	if err != nil {
		return nil, failed("reading", id, err)
	}
	return &o, nil
}

// observeLive makes an Observed of an object with its managedFields.
func observeLive(body []byte, t target) (o observedChild, err error) {
	object, err := kube.ReadObject(body, t.kind, FieldManager, t.metadataOnly)
	if err != nil {
		return o, err
	}
	var whole metav1.PartialObjectMetadata
	if err := json.Unmarshal(body, &whole); err != nil {
		return o, fmt.Errorf("decoding the metadata: %w", err)
	}
	o = observe(object, t.metadataOnly)
	o.Managers = append([]metav1.ManagedFieldsEntry{}, whole.ManagedFields...) // not nil
	return o, nil
}

// takeOver makes the fields of other field managers ours, so that those are removed that are not
// desired. It changes nothing but managedFields.
func (x *executor) takeOver(ctx context.Context, op *Op) *opError {
	if len(op.managers) == 0 {
		return nil
	}
	if failure := x.findConflict(ctx, *op); failure != nil {
		return failure
	}
	o := *op.Observed
	patch, err := takeOverPatch(&o, op.managers, op.Desired.Kind.GroupVersion().String(), op.Desired.released)
	if err != nil {
		return failed("taking over", op.ID, err)
	}
	t := x.target(op.Desired.Kind, op.ID)
	t.metadataOnly = true
	answer, err := x.Client.jsonPatch(ctx, t, patch)
	if err != nil {
		failure := failed("taking over", op.ID, err)
		if failure.reason != reasonStale {
			x.Metrics.Failed(string(failure.reason))
		}
		return failure
	}
	o.ResourceVersion, op.Observed = answer.ResourceVersion(), &o
	return nil
}

// findConflict finds out whether the apply would end in a conflict with a field manager that is not
// taken over from. The others would have lost their fields for nothing then. Whatever else a dry
// run says, the apply says again.
func (x *executor) findConflict(ctx context.Context, op Op) *opError {
	if op.force() {
		return nil
	}
	body, err := op.body()
	if err != nil {
		return &opError{reason: reasonInvalid, err: err}
	}
	err = tryApply(ctx, x.Client, x.target(op.Desired.Kind, op.ID), body)
	others := conflictsWithOthers(err, append([]string{CreateManager}, op.managers...))
	if len(others) == 0 {
		return nil
	}
	x.Metrics.Failed(string(ReasonConflict))
	err = fmt.Errorf("applying %s: %s", op.ID, textOfConflicts(others, "child")) //nolint:err113 // the error of the API server names all
	return &opError{reason: ReasonConflict, err: err}
}

// takeOverPatch moves the entries of some field managers, whether they have updated or applied,
// into our own. Entries of other versions are read as if they were of the one that we apply: what
// the paths mean is mostly the same, and one of another version would be lost.
//
// What released returns of the fields that are ours then is left to others: what is applied next
// does not have it, and would remove it.
func takeOverPatch(o *Observed, managers []string, apiVersion string, released releaser) ([]byte, error) {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: slices.Clone(o.Managers)}}
	names := sets.New[string]()
	for i := range object.ManagedFields {
		entry := &object.ManagedFields[i]
		switch {
		case entry.Subresource != "":
			continue
		case entry.Manager == FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply:
			entry.APIVersion = apiVersion
		case slices.Contains(managers, entry.Manager):
			// Of entries of one name and version, all but one would be lost.
			entry.Manager = FieldManager + "-from-" + strconv.Itoa(i)
			entry.Operation, entry.APIVersion = metav1.ManagedFieldsOperationUpdate, apiVersion
			names.Insert(entry.Manager)
		}
	}
	if err := csaupgrade.UpgradeManagedFields(object, names, FieldManager); err != nil {
		return nil, err
	}
	entries, err := moveFields(object.ManagedFields, released)
	if err != nil {
		return nil, err
	}
	return json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": o.UID},
		{"op": "replace", "path": "/metadata/managedFields", "value": entries},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": o.ResourceVersion},
	})
}

// fieldsOf are the fields of an entry.
func fieldsOf(entry metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if entry.FieldsV1 == nil {
		return set, nil
	}
	err := set.FromJSON(entry.FieldsV1.GetRawReader())
	return set, err
}

// tellAdopted records an event about a child that was adopted.
func (x *executor) tellAdopted(op Op) {
	if op.Action != Adopt {
		return
	}
	text := fmt.Sprintf("%s existed and is child %s now: %s", op.ID, op.Desired.Name, op.Message)
	x.tell("Adopted", "Apply", op.ID, text)
}

// getManaged reads an object with its managedFields, past all caches, as JSON.
func (c *Client) getManaged(ctx context.Context, t target) ([]byte, error) {
	t.json = true
	return c.sendRaw(ctx, t, "", func(path ...string) *rest.Request { return c.rest.Get().AbsPath(path...) })
}

// tryApply asks whether an object could be applied without force, and changes nothing.
func tryApply(ctx context.Context, c *Client, t target, body []byte) error {
	_, err := c.sendRaw(ctx, t, "", func(path ...string) *rest.Request {
		return c.rest.Patch(types.ApplyPatchType).AbsPath(path...).Param("fieldManager", FieldManager).Param("force", "false").
			Param("dryRun", metav1.DryRunAll).Body(body)
	})
	return err
}

// jsonPatch changes an object by a JSON patch.
func (c *Client) jsonPatch(ctx context.Context, t target, patch []byte) (handlers.Object, error) {
	return c.send(ctx, t, "", func(path ...string) *rest.Request {
		return c.rest.Patch(types.JSONPatchType).AbsPath(path...).Param("fieldManager", FieldManager).Body(patch)
	})
}
