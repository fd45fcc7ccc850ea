package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
)

var errReplaced = errors.New("another object has the name by now")

// CreateManager is the field manager of what children leave to others: until one of them sets it.
const CreateManager = "kooperd-create"

// replicas is the field that an autoscaler sets. To remove it would mean one replica.
var replicas = fieldpath.MakePathOrDie("spec", "replicas")

// handedOver is what becomes of an op where fields are ours that are not to be removed. Fields that
// are left to others are so at once, the rest when the object is changed.
func handedOver(d *Desired, o *Observed, op Op) Op {
	kept := op.Action == Skip && op.Reason != ReasonOnDelete && d.Policy.Update != handlers.UpdateCreateOnly && len(d.ignored) > 0
	if o.Owned == nil || op.Action != Apply && !kept {
		return op
	}
	released := d.released(o.Owned)
	if released.Empty() {
		return op
	}
	return Op{Action: HandOver, Reason: ReasonReleased, Message: describeSet(released), NotReady: "fields of it are left to others"}
}

// released is what of owned, the fields of an object that are ours, is not what the child sets any
// more and must stay. It has no more than what is in the tree would lead to when it is applied.
func (d *Desired) released(owned *fieldpath.Set) *fieldpath.Set {
	found := fieldpath.NewSet()
	if d.Policy.Update == handlers.UpdateCreateOnly {
		owned.Iterate(func(path fieldpath.Path) {
			if !ofMarks(path) {
				found.Insert(path.Copy())
			}
		})
		return found
	}
	for _, path := range d.ignored {
		path.within(owned, nil, found)
	}
	if spec, _ := d.tree["spec"].(map[string]any); spec["replicas"] == nil && owned.Has(replicas) {
		found.Insert(replicas)
	}
	return found
}

// ofMarks reports whether a path is that of a mark or an owner reference, or of what they are in.
func ofMarks(path fieldpath.Path) bool {
	name := func(i int) string {
		if i < len(path) && path[i].FieldName != nil {
			return *path[i].FieldName
		}
		return ""
	}
	switch {
	case name(0) != "metadata":
		return false
	case len(path) == 1, name(1) == "ownerReferences":
		return true
	case name(1) == "labels":
		return len(path) == 2 || slices.Contains(markLabels, name(2))
	default:
		return name(1) == "annotations" && (len(path) == 2 || slices.Contains(markAnnotations, name(2)))
	}
}

// describeSet names fields for a person: the first one, and how many more there are.
func describeSet(set *fieldpath.Set) string {
	first, n := "", 0
	for path := range set.All() {
		if n++; n == 1 {
			first = path.String()
		}
	}
	if n > 1 {
		return fmt.Sprintf("%s and %d more", first, n-1)
	}
	return first
}

// handOver leaves fields of a child to others: nothing changes but whose they are.
func (x *executor) handOver(ctx context.Context, op Op) *opError {
	t := x.target(op.Desired.Kind, op.ID)
	x.Memory.beginWrite(x.parent.UID, op.ID)
	answer, err := x.Client.handOver(ctx, t, op.Observed.UID, op.Desired.released)
	if err != nil {
		answer = nil
	}
	x.Memory.endWrite(x.parent.UID, op.ID, "", answer)
	if err != nil {
		failure := failed("leaving fields to others of", op.ID, err)
		if failure.reason != reasonStale {
			x.Metrics.Failed(string(failure.reason))
		}
		return failure
	}
	x.Logger.V(1).Info("left fields of a child to others", "child", op.ID.String(), "fields", op.Message, "parent", x.parent.text())
	return nil
}

// handOver makes those fields of an object that released returns, of what our field manager has
// applied, fields of CreateManager. It changes the very version of managedFields that it has read.
func (c *Client) handOver(ctx context.Context, t target, uid types.UID, released releaser) (handlers.Object, error) {
	text, err := c.getManaged(ctx, target{kind: t.kind, namespace: t.namespace, name: t.name, metadataOnly: true})
	if err != nil {
		return nil, err
	}
	var live metav1.PartialObjectMetadata
	if err := json.Unmarshal(text, &live); err != nil {
		return nil, fmt.Errorf("decoding the metadata: %w", err)
	}
	if live.UID != uid {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: t.kind.Group, Resource: t.kind.Kind}, t.name, errReplaced)
	}
	entries, err := moveFields(live.ManagedFields, released)
	if err != nil {
		return nil, fmt.Errorf("reading managedFields: %w", err)
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": uid},
		{"op": "replace", "path": "/metadata/managedFields", "value": entries},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.ResourceVersion},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding managedFields: %w", err)
	}
	return c.jsonPatch(ctx, t, patch)
}

// releaser returns what of the fields that are ours is to be left to others.
type releaser func(owned *fieldpath.Set) *fieldpath.Set

// moveFields moves fields from what our field manager has applied to entries of CreateManager.
func moveFields(entries []metav1.ManagedFieldsEntry, released releaser) ([]metav1.ManagedFieldsEntry, error) {
	entries = slices.Clone(entries)
	for i, entry := range entries {
		if entry.Manager != FieldManager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		owned, err := fieldsOf(entry)
		if err != nil {
			return nil, err
		}
		moved := released(owned)
		if moved.Empty() {
			continue
		}
		if entries[i].FieldsV1, err = encodeSet(owned.Difference(moved)); err != nil {
			return nil, err
		}
		if entries, err = addFields(entries, entry, moved); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// addFields adds fields to the entry of CreateManager of the version of from.
func addFields(entries []metav1.ManagedFieldsEntry, from metav1.ManagedFieldsEntry, set *fieldpath.Set) ([]metav1.ManagedFieldsEntry, error) {
	i := slices.IndexFunc(entries, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == CreateManager && e.Operation == metav1.ManagedFieldsOperationUpdate && e.APIVersion == from.APIVersion &&
			e.Subresource == "" && e.FieldsV1 != nil
	})
	if i < 0 {
		from.Manager, from.Operation = CreateManager, metav1.ManagedFieldsOperationUpdate
		i, entries = len(entries), append(entries, from)
	} else {
		before, err := fieldsOf(entries[i])
		if err != nil {
			return nil, err
		}
		set = before.Union(set)
	}
	var err error
	entries[i].FieldsV1, err = encodeSet(set)
	return entries, err
}

func encodeSet(set *fieldpath.Set) (*metav1.FieldsV1, error) {
	text, err := set.ToJSON()
	if err != nil {
		return nil, err
	}
	return metav1.NewFieldsV1(string(text)), nil
}

// ofCreateManager reports whether an error says no more than that fields are those that were left
// to others, and that no other has set since.
func ofCreateManager(err error) bool {
	return reasonFor(err) == ReasonConflict && len(conflictsWithOthers(err, []string{CreateManager})) == 0
}
