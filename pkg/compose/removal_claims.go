package compose

import (
	"cmp"
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// claims says which children are left to other definitions by one run of a removal.
type claims struct {
	*Removal
	deleting map[types.UID]bool // the parents that are being deleted; nil before they are looked for
	err      error              // why they may not be all
}

// of says why nothing is done about a child: another definition takes it over, or may do so. It is
// empty if none does. With its parent, everything goes.
func (c *claims) of(ctx context.Context, o observedChild) (why string, err error) {
	if c.Moves == nil || !c.acts() {
		return "", nil
	}
	about := parentRef{Parent: Parent{Kind: schema.FromAPIVersionAndKind(c.Scope.APIVersion, c.Scope.Kind), UID: o.marks.parentUID}}
	about.Name = o.marks.parent
	if namespace, name, ok := strings.Cut(o.marks.parent, "/"); ok {
		about.Namespace, about.Name = namespace, name
	}
	about.key = kube.Key{Namespace: about.Namespace, Name: about.Name}
	why = c.Moves.claimed(cmp.Or(c.MovesAs, c.Definition), about, []ChildID{o.ID})[o.ID]
	if why == "" {
		return "", nil
	}
	if c.look(ctx); c.deleting[about.UID] {
		return "", nil
	}
	return why, c.err
}

// look finds out which parents are being deleted, once.
func (c *claims) look(ctx context.Context) {
	if c.deleting != nil {
		return
	}
	var parents []handlers.Object
	parents, c.err = c.parents(ctx)
	c.deleting = map[types.UID]bool{}
	for _, parent := range parents {
		if parent.Metadata().DeletionTimestamp != nil {
			c.deleting[parent.UID()] = true
		}
	}
}
