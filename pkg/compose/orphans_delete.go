package compose

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// deleteTries is how often an orphan is read live because it has changed meanwhile.
const deleteTries = 3

// OrphanOutcome is what has become of an orphan that was to be deleted.
type OrphanOutcome string

// The outcomes.
const (
	// OrphanDeleted: it is gone, or is being deleted and waits for a finalizer.
	OrphanDeleted OrphanOutcome = "Deleted"
	// OrphanWithdrawn: a patch is gone from its object.
	OrphanWithdrawn OrphanOutcome = "Withdrawn"
	// OrphanKept: it is left alone, as it is not proven, holds data, or has an owner again.
	OrphanKept OrphanOutcome = "Kept"
	// OrphanRefused: a leader may be at work on it.
	OrphanRefused OrphanOutcome = "Refused"
	// OrphanFailed: the API server did not delete it.
	OrphanFailed OrphanOutcome = "Failed"
)

// OrphanDeletion deletes what a search has found, one after the other. It is not safe for
// concurrent use.
type OrphanDeletion struct {
	// Orphans are what was found.
	Orphans *Orphans
	// Client makes the requests.
	Client *Client
	// IncludeData is the word that objects may be deleted whose deletion takes more with it:
	// Namespaces, CustomResourceDefinitions, PersistentVolumes and PersistentVolumeClaims.
	IncludeData bool
	// Claimed says why the children of a definition must be left alone, because a leader claims it;
	// empty if none does. It is not asked about those whose parent is gone, unless another object
	// has the name of the parent: a UID does not come back, whatever a leader has read, but after a
	// restore from a backup the new object may be about to adopt them.
	Claimed func(ctx context.Context, definition string) (why string, err error)

	gone map[types.UID]bool // what was deleted
}

// InOrder returns the orphans in the order in which they are to be deleted: what takes more with it
// comes last, and Namespaces after all that may be in them.
func (d *OrphanDeletion) InOrder() []Orphan {
	all := slices.Clone(d.Orphans.Found)
	rank := func(o Orphan) int {
		switch {
		case o.isNamespace():
			return 2
		case o.Data:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b Orphan) int { return rank(a) - rank(b) })
	return all
}

func (o Orphan) isNamespace() bool { return o.groupKind() == schema.GroupKind{Kind: "Namespace"} }

// Delete deletes one orphan, if that may be, in the very version that is proven when it is read
// live. A patch is withdrawn. The text says to a person what has become of it.
func (d *OrphanDeletion) Delete(ctx context.Context, o Orphan) (OrphanOutcome, string) {
	if o.Patch {
		return d.withdraw(ctx, o)
	}
	if text := d.spare(o); text != "" {
		return OrphanKept, text
	}
	if outcome, text := d.askLeader(ctx, o); outcome != "" {
		return outcome, text
	}
	t := target{kind: o.observed.kind, namespace: o.Namespace, name: o.Name, metadataOnly: true}
	var err error
	for range deleteTries {
		var live observedChild
		if live, err = d.readLive(ctx, t); apierrors.IsNotFound(err) {
			return d.deleted(o, "it is gone already")
		}
		if err != nil {
			return OrphanFailed, fmt.Sprintf("reading it: %v", err)
		}
		if text := d.changed(o, live); text != "" {
			return OrphanKept, text
		}
		left, failure := d.Client.delete(ctx, t, live.UID, live.ResourceVersion)
		switch err = failure; {
		case err == nil && left != nil:
			return d.deleted(o, "it is being deleted"+waitingFor(live.Finalizers))
		case err == nil, apierrors.IsNotFound(err):
			return d.deleted(o, "")
		case !stale(err):
			return OrphanFailed, err.Error()
		}
	}
	return OrphanFailed, fmt.Sprintf("it changes all the time: %v", err)
}

// askLeader returns what becomes of an orphan because of a leader; empty if none is in the way.
func (d *OrphanDeletion) askLeader(ctx context.Context, o Orphan) (OrphanOutcome, string) {
	gone := slices.Contains(o.Reasons, OrphanNoParent)
	if gone && o.heir.UID == "" {
		return "", ""
	}
	why, err := d.Claimed(ctx, o.Definition)
	switch {
	case err != nil:
		return OrphanFailed, err.Error()
	case why == "":
		return "", ""
	case gone:
		why = fmt.Sprintf("%s may adopt it, as after a restore from a backup; if it does not, delete this object with kubectl. %s", o.heir, why)
	}
	return OrphanRefused, why
}

func (d *OrphanDeletion) deleted(o Orphan, text string) (OrphanOutcome, string) {
	if d.gone == nil {
		d.gone = map[types.UID]bool{}
	}
	d.gone[o.UID] = true
	return OrphanDeleted, text
}

// spare says why an orphan is left alone whatever the API server says; empty if it is not.
func (d *OrphanDeletion) spare(o Orphan) string {
	switch {
	case !o.Proven:
		return "it is not provably kooperd's: its marks may have been copied"
	case o.Deleting:
		return "it is being deleted already" + waitingFor(o.observed.Finalizers)
	case o.Data && !d.IncludeData:
		return fmt.Sprintf("the deletion of a %s takes more with it; --include-data says that it may", o.Kind)
	case !o.isNamespace():
		return ""
	case len(d.Orphans.Unseen) > 0:
		return "not all kinds could be looked at, so that there may be a child in it"
	}
	for _, child := range d.Orphans.children {
		if child.ID.Namespace == o.Name && !child.Deleting && !d.gone[child.UID] {
			return fmt.Sprintf("%s is in it, which stays", child.ID)
		}
	}
	return ""
}

// changed says why an object is not the orphan any more that was found; empty if it is.
func (d *OrphanDeletion) changed(o Orphan, live observedChild) string {
	before, now := o.observed.marks, live.marks
	same := before.installation == now.installation && before.definition == now.definition &&
		before.parentUID == now.parentUID && before.parent == now.parent
	switch {
	case live.UID != o.UID:
		return "another object has its name by now"
	case !same:
		return "its marks have changed since it was found"
	case !d.Orphans.judge.proven(live):
		return "it is not provably kooperd's any more"
	case live.Deleting:
		return "it is being deleted already" + waitingFor(live.Finalizers)
	}
	return ""
}

// readLive reads the metadata of an object as they are now.
func (d *OrphanDeletion) readLive(ctx context.Context, t target) (observedChild, error) {
	object, err := d.Client.get(ctx, t)
	if err != nil {
		return observedChild{}, err
	}
	return observe(object, true), nil
}
