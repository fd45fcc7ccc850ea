package compose

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// observedChild is an Observed with the object that it is made of.
type observedChild struct {
	*Observed
	object handlers.Object
	kind   schema.GroupVersionKind
}

// observe makes an Observed of an object.
func observe(object handlers.Object, metadataOnly bool) observedChild {
	m := object.Metadata()
	kind := object.GroupVersionKind()
	o := &Observed{
		ID:  ChildID{Kind: kind.GroupKind(), Namespace: object.Namespace(), Name: object.Name()},
		UID: object.UID(), ResourceVersion: object.ResourceVersion(),
		Deleting: m.DeletionTimestamp != nil, Finalizers: m.Finalizers, Whole: !metadataOnly, marks: marksOf(m),
		references: m.OwnerReferences,
	}
	if o.Deleting {
		o.deleted = m.DeletionTimestamp.Time
	}
	if fields := kube.FieldsOf(object); fields != nil {
		o.Owned, o.OwnedReferences = fields.Set(), fields.OwnerReferences()
	}
	o.Tree = sync.OnceValues(func() (map[string]any, error) {
		if metadataOnly {
			return metadataTree(object)
		}
		text, err := object.JSON()
		if err != nil {
			return nil, err
		}
		return decodeTree(text)
	})
	o.Ready = func(d *Desired) (bool, string) { return ready(d, object, o) }
	return observedChild{Observed: o, object: object, kind: kind}
}

func metadataTree(object handlers.Object) (map[string]any, error) {
	text, err := json.Marshal(object.Metadata())
	if err != nil {
		return nil, fmt.Errorf("encoding the metadata of %s: %w", object.Name(), err)
	}
	metadata, err := decodeTree(text)
	return map[string]any{"metadata": metadata}, err
}

// ready reports whether a child is ready, by its policy or else by its kind.
func ready(d *Desired, object handlers.Object, o *Observed) (bool, string) {
	if d.Policy.Ready != nil {
		return d.Policy.Ready(object)
	}
	if !o.Whole {
		return true, ""
	}
	tree, err := o.Tree()
	if err != nil {
		return false, err.Error()
	}
	return readyByKind(o.ID.Kind, tree)
}

// observer looks at the children of one parent.
type observer struct {
	*current
	live map[ChildID]observedChild // read past the caches in this pass
}

// observeChildren returns everything that carries the mark of the parent, as the caches have it
// with the answers to our own writes that they do not have yet.
func (o *observer) observeChildren() map[ChildID]observedChild {
	sources := o.children()
	found := make([][]handlers.Object, len(sources))
	ofParent := labels.SelectorFromSet(labels.Set{ParentUIDLabel: string(o.parent.UID)})
	remembered := o.Memory.recall(o.parent.UID, o.sourceOf, func() {
		for i, source := range sources {
			found[i] = source.Source.List("", ofParent)
		}
	})
	all := map[ChildID]observedChild{}
	for i, source := range sources {
		for _, object := range found[i] {
			if source.covers(object.Namespace()) {
				child := observe(object, source.MetadataOnly)
				all[child.ID] = child
			}
		}
	}
	done := overlay(all, remembered)
	o.Memory.forgetChildren(o.parent.UID, done)
	for _, id := range vanished(done, remembered, all) {
		o.Memory.fights.vanish(o.parent.UID, id)
	}
	maps.Copy(all, o.live)
	for id, child := range all {
		if id.Kind == ofSecrets {
			o.secrets.add(child.object)
		}
	}
	return all
}

// sourceOf returns the cache in which an object is looked for whose kind is owned, or was.
func (c *current) sourceOf(id ChildID) (ChildSource, bool) {
	for _, source := range c.children() {
		if source.GroupVersionKind().GroupKind() == id.Kind && source.covers(id.Namespace) {
			return source, true
		}
	}
	return ChildSource{}, false
}

// observeAt adds what the caches have where children should be and no object with the mark of the
// parent is: a child of another one.
func (o *observer) observeAt(all map[ChildID]observedChild, desired []*Desired) {
	for _, d := range desired {
		if _, known := all[d.ID]; known {
			continue
		}
		source, ok := o.sourceOf(d.ID)
		if !ok {
			continue
		}
		object, there := source.Source.Get(d.ID.Namespace, d.ID.Name)
		if there && !o.Memory.isGone(o.parent.UID, d.ID, object.UID()) {
			all[d.ID] = observe(object, source.MetadataOnly)
			o.secrets.add(object)
		}
	}
}

// childrenFor returns the observed children as the composer sees them: those that are provably of
// this parent and definition.
func (o *observer) childrenFor(all map[ChildID]observedChild) handlers.Children {
	var children handlers.Children
	judge := &planner{Input: Input{Installation: o.Installation, Definition: o.Definition, Formerly: o.Formerly, Parent: o.parent}}
	for _, child := range all {
		if o.Identity.has(child.marks.definition) && (judge.proven(child.Observed) || judge.wiped(child.Observed)) {
			children = append(children, handlers.ObservedChild{Name: child.marks.child, Object: child.object})
		}
	}
	slices.SortFunc(children, func(a, b handlers.ObservedChild) int {
		if order := strings.Compare(a.Name, b.Name); order != 0 {
			return order
		}
		younger := b.Object.Metadata().CreationTimestamp.Compare(a.Object.Metadata().CreationTimestamp.Time)
		if younger != 0 {
			return younger
		}
		return strings.Compare(string(a.Object.UID()), string(b.Object.UID()))
	})
	return children
}
