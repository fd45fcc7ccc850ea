package compose

import (
	"context"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// fewUnseen is for how many parents that go the children at a place are listed one by one. Where
// more go before the cache has caught up, one list answers for all that follow.
const fewUnseen = 5

// unseenList is a list of all children at a place, without those that the cache had when it was
// made: what was made before this term, and not seen until then, is among them. What it has may be
// gone or changed by now, so a delete by it names the version. It is safe for concurrent use.
type unseenList struct {
	making chan struct{} // has room for the one that makes it
	asked  int           // by how many parents
	by     map[types.UID][]handlers.Object
}

// unseenAt returns the list of a place.
func (c *caughtUp) unseenAt(p place) *unseenList {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unseen == nil {
		c.unseen = map[place]*unseenList{}
	}
	list := c.unseen[p]
	if list == nil {
		list = &unseenList{making: make(chan struct{}, 1)}
		c.unseen[p] = list
	}
	return list
}

// of returns the children of a parent. Of the first parents they are listed by one, and then by
// all, by one call at a time.
func (l *unseenList) of(ctx context.Context, parent types.UID, one, all func() ([]handlers.Object, error)) ([]handlers.Object, error) {
	select {
	case l.making <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if l.asked++; l.asked <= fewUnseen {
		<-l.making
		return one()
	}
	defer func() { <-l.making }()
	if l.by == nil {
		objects, err := all()
		if err != nil {
			return nil, err
		}
		l.by = map[types.UID][]handlers.Object{}
		for _, object := range objects {
			l.by[ParentUID(object)] = append(l.by[ParentUID(object)], object)
		}
	}
	return l.by[parent], nil
}

// listUnseen returns the children of the parent at a place, as far as its cache may not have them.
func (p cleaning) listUnseen(ctx context.Context, source ChildSource, at place) ([]handlers.Object, error) {
	q := query{kind: source.GroupVersionKind(), namespace: at.namespace}
	list := func(q query, keep func(handlers.Object) bool) ([]handlers.Object, error) {
		objects, version, err := listSome(ctx, p.Client, q, keep)
		if err == nil {
			p.caughtUp.listed(at, version)
		}
		return objects, err
	}
	one := func() ([]handlers.Object, error) {
		q.labels = labels.Set{InstallationLabel: p.Installation, ParentUIDLabel: string(p.parent.UID)}
		return list(q, nil)
	}
	all := func() ([]handlers.Object, error) {
		ofDefinition, _ := p.Identity.selector().Requirements()
		q.selector = labels.Set{InstallationLabel: p.Installation}.AsSelector().Add(ofDefinition...).String()
		return list(q, func(object handlers.Object) bool {
			cached, there := source.Source.Get(object.Namespace(), object.Name())
			return !there || cached.UID() != object.UID() || ParentUID(cached) != ParentUID(object)
		})
	}
	return p.caughtUp.unseenAt(at).of(ctx, p.parent.UID, one, all)
}
