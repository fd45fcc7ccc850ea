package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// contribution is what one parent contributes to an object.
type contribution struct {
	id      ChildID
	kind    schema.GroupVersionKind
	uid     types.UID // of the object
	manager string
	// definition and parent are what the field manager names.
	definition string
	parent     types.UID
	// installation is that of the mark that was applied with it; empty where somebody has removed
	// that.
	installation string
	// changed is when it has become what it is.
	changed time.Time
	// fields are what is contributed, the mark among it.
	fields *fieldpath.Set
}

// contributionsTo are what parents contribute to an object, of whatever installation. Entries that
// cannot be read are left out.
func contributionsTo(kind schema.GroupVersionKind, object *metav1.PartialObjectMetadata) (all []contribution) {
	for _, entry := range object.ManagedFields {
		definition, parent, ok := ParsePatchManager(entry.Manager)
		if !ok || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" {
			continue
		}
		fields, err := fieldsOf(entry)
		if err != nil || fields.Empty() {
			continue
		}
		c := contribution{
			id:   ChildID{Kind: kind.GroupKind(), Namespace: object.Namespace, Name: object.Name},
			kind: kind, uid: object.UID, manager: entry.Manager, definition: definition, parent: parent, fields: fields,
			installation: ownerOf(fields, ""),
		}
		if entry.Time != nil {
			c.changed = entry.Time.Time
		}
		all = append(all, c)
	}
	return all
}

// texts name the fields that are contributed, without the mark.
func (c contribution) texts() []string {
	return fieldTexts(c.fields.Difference(fieldpath.NewSet(patchedPath(c.installation))), false)
}

// listManaged reads the metadata of objects with their managedFields past all caches, and calls
// each for all of them.
func listManaged(ctx context.Context, c *Client, q query, each func(*metav1.PartialObjectMetadata)) error {
	for next := ""; ; {
		page, err := c.page(ctx, q, next)
		if err != nil {
			return fmt.Errorf("listing %s: %w", q.kind.Kind, err)
		}
		for _, item := range page.Items {
			if !strings.Contains(string(item), PatchManagers) {
				continue
			}
			var object metav1.PartialObjectMetadata
			if err := json.Unmarshal(item, &object); err != nil {
				return fmt.Errorf("listing %s: decoding an item: %w", q.kind.Kind, err)
			}
			each(&object)
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}
