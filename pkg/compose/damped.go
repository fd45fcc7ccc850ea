package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Damped are fields of a child that are not to be set back at the moment, because another party
// changes them again and again.
type Damped struct {
	// Paths are the fields; an empty one is the child itself, which is not to be made again.
	Paths []string
	// Others says that so are all fields that were not changed before.
	Others bool
	// Message says more for a person.
	Message string
}

// driftsIn are the fields of leaves.
func driftsIn(leaves []uncovered) []drift {
	fields := make([]drift, 0, len(leaves))
	for _, leaf := range leaves {
		fields = append(fields, drift{text: strings.TrimPrefix(leaf.String(), "."), path: leaf.path})
	}
	return fields
}

// driftsOf is a field of the metadata.
func driftsOf(names ...any) []drift {
	path := fieldpath.MakePathOrDie(append([]any{"metadata"}, names...)...)
	return []drift{{text: strings.TrimPrefix(path.String(), "."), path: path}}
}

// unmarked is what another party has changed of a child that does not say any more that it is what
// was applied.
func unmarked(d *Desired, o *Observed) []drift {
	if o.last != d.hash {
		return nil // It was not applied: it is what is desired that has changed.
	}
	return driftsOf("annotations", AppliedAnnotation)
}

// hold makes an op wait that would set back what is fought about, and nothing else. o is nil where
// there is no object.
func (f Damped) hold(d *Desired, o *Observed, op Op) Op {
	if len(f.Paths) == 0 || len(op.drift) == 0 || op.Action != Create && op.Action != Apply {
		return op
	}
	for _, field := range op.drift[:min(len(op.drift), maxPaths)] {
		if !slices.Contains(f.Paths, field.text) && (!f.Others || field.text == "") {
			return op
		}
	}
	wait := Op{Action: Wait, Reason: ReasonFight, Message: f.Message, NotReady: f.Message}
	if o != nil && o.Ready != nil {
		wait.Ready, _ = o.Ready(d)
	}
	return wait
}

// next is after how long the child is to be looked at again; 0 for never. waits says that there is
// something to be set back.
func (f *fight) next(now time.Time, waits bool) (next time.Duration) {
	damped := false
	for _, r := range f.fields {
		at := r.calm()
		if waits {
			at = r.until() // One that is past is not what the child waits for.
		}
		if !r.isDamped() {
			continue
		}
		damped = true
		if wait := at.Sub(now); wait > 0 && (next == 0 || wait < next) {
			next = wait
		}
	}
	if damped && next == 0 {
		return time.Millisecond
	}
	return next
}

// lookAtFights finds out what is fought about, with whom, and after how long to look again.
func (x *executor) lookAtFights(ctx context.Context, ops []Op) ([]fighting, time.Duration) {
	fights := x.Memory.fights
	for id, path := range fights.asks(x.parent.UID, ops, x.now()) {
		source, ok := x.sourceOf(id)
		if !ok {
			continue
		}
		entries, err := x.Client.managedFields(ctx, x.target(source.GroupVersionKind(), id))
		if err != nil {
			x.Logger.V(1).Info("reading who changes a child", "child", id.String(), "parent", x.parent.text(), "error", err.Error())
			continue
		}
		fights.name(x.parent.UID, id, managerOf(entries, path))
	}
	return fights.look(x.parent.UID, ops, x.now())
}

// managerOf returns the other manager that has set a field last; empty if there is none.
func managerOf(entries []metav1.ManagedFieldsEntry, path fieldpath.Path) string {
	var found metav1.ManagedFieldsEntry
	for _, entry := range entries {
		if entry.Manager == FieldManager || entry.FieldsV1 == nil || found.Manager != "" && entry.Time.Before(found.Time) {
			continue
		}
		var set fieldpath.Set
		if set.FromJSON(entry.FieldsV1.GetRawReader()) == nil && touches(&set, path) {
			found = entry
		}
	}
	return found.Manager
}

// touches reports whether a set has a field, something in it, or something that it is in.
func touches(set *fieldpath.Set, path fieldpath.Path) bool {
	for i, element := range path {
		if i > 0 && set.Members.Has(element) {
			return true
		}
		below, ok := set.Children.Get(element)
		if !ok {
			return false
		}
		set = below
	}
	return true
}

// managedFields reads who manages which fields of an object.
func (c *Client) managedFields(ctx context.Context, t target) ([]metav1.ManagedFieldsEntry, error) {
	path, err := c.path(ctx, t)
	if err != nil {
		return nil, err
	}
	const partial = runtime.ContentTypeJSON + ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1," + runtime.ContentTypeJSON
	body, err := c.rest.Get().AbsPath(path...).SetHeader("Accept", partial).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, fmt.Errorf("reading a %s: %w", t.kind.Kind, err)
	}
	return object.ManagedFields, nil
}

// forgetVanished forgets of children that are not desired any more that somebody else has deleted
// them. f.mu is held.
func (f *fights) forgetVanished(parent types.UID, desired []*Desired) {
	var wanted map[ChildID]bool
	for id, one := range f.parents[parent] {
		if !one.vanished {
			continue
		}
		if wanted == nil {
			wanted = make(map[ChildID]bool, len(desired))
			for _, d := range desired {
				wanted[d.ID] = true
			}
		}
		if wanted[id] {
			continue
		}
		if one.vanished = false; len(one.fields) == 0 {
			f.drop(parent, id)
		}
	}
}
