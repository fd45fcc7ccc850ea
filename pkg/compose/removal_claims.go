package compose

import (
	"cmp"
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// parentsPatience is for how long a run goes by the parents as it has seen them. It may go on for
// minutes, and meanwhile a parent may become one that another definition handles.
const parentsPatience = 5 * time.Second

// claims says which children are left to other definitions by one run of a removal.
type claims struct {
	*Removal
	live map[types.UID]*metav1.ObjectMeta // the parents as they are; nil before they are looked for
	seen time.Time                        // when they were looked for last
	err  error                            // why they may not be all
}

// of says why nothing is done about a child: another definition takes it over, or may do so. It is
// empty if none does. With its parent, everything goes.
func (c *claims) of(ctx context.Context, o observedChild) (why string, err error) {
	donor := cmp.Or(c.MovesAs, c.Definition)
	if o.marks.parentUID == "" || !c.acts() || !isDonor(c.Moves, donor) {
		return "", nil
	}
	c.look(ctx)
	switch parent := c.live[o.marks.parentUID]; {
	case parent == nil && c.err != nil:
		return "", c.err // Nothing says whose it is now.
	case parent != nil && parent.DeletionTimestamp != nil:
		return "", nil
	}
	return c.Moves.claimed(donor, c.about(o), []ChildID{o.ID})[o.ID], nil
}

// about is the parent of a child. An edit of it may make it one of another definition, so it is
// asked about as it is now, and not as the child's marks or the cache of the other one have it.
func (c *claims) about(o observedChild) parentRef {
	key := keyOfParent(o.marks.parent)
	about := parentRef{key: key, Parent: Parent{
		Kind:      schema.FromAPIVersionAndKind(c.Scope.APIVersion, c.Scope.Kind),
		Namespace: key.Namespace, Name: key.Name, UID: o.marks.parentUID,
	}}
	if parent := c.live[about.UID]; parent != nil {
		about.labels, about.state, about.version = labelsOf(parent), stateOf(c.Installation, parent), parent.ResourceVersion
		about.since = c.firstVersion(about.UID, about.version)
	}
	return about
}

// firstVersion returns the version in which the first of the runs has seen a parent.
func (c *claims) firstVersion(parent types.UID, now string) string {
	if first, seen := c.Versions[parent]; seen {
		return first
	}
	if c.Versions != nil {
		c.Versions[parent] = now
	}
	return now
}

// look finds out which parents there are, unless that has just been done.
func (c *claims) look(ctx context.Context) {
	if c.live != nil && time.Since(c.seen) < parentsPatience {
		return
	}
	parents, err := c.parents(ctx)
	c.live, c.seen, c.err = map[types.UID]*metav1.ObjectMeta{}, time.Now(), err
	for _, parent := range parents {
		c.live[parent.UID()] = parent.Metadata()
	}
}
