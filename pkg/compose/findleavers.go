package compose

import (
	"context"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// leaverFinder finds parents that have left while no process was there to see it.
type leaverFinder struct{ *Reconciler }

// FindLeavers notes the parents of children that are not handled, and returns their keys. They may
// have left while no process was there to see it. Children that are older than since are left out:
// it is not known whether the file has wanted them.
func FindLeavers(ctx context.Context, r *Reconciler, since time.Time) (found []kube.Key) {
	ofDefinition := r.Identity.selector()
	finder, seen := leaverFinder{r}, map[types.UID]bool{}
	for _, source := range r.children() {
		for _, child := range source.Source.List("", ofDefinition) {
			uid := ParentUID(child)
			if seen[uid] || child.Metadata().CreationTimestamp.Time.Before(since) {
				continue
			}
			seen[uid] = true
			if key, ok := finder.findLeaver(ctx, uid, child); ok {
				found = append(found, key)
			}
		}
	}
	return found
}

// findLeaver notes the parent of a child if it is not handled.
func (r leaverFinder) findLeaver(ctx context.Context, uid types.UID, child handlers.Object) (key kube.Key, left bool) {
	if parent, there := r.Parents.GetByUID(uid); there {
		return r.findExcluded(ctx, parent)
	}
	parent := child.Metadata().Annotations[ParentAnnotation]
	if parent == "" || !r.Selects() {
		return key, false
	}
	key = kube.Key{Name: parent}
	if namespace, name, ok := strings.Cut(parent, "/"); ok {
		key = kube.Key{Namespace: namespace, Name: name}
	}
	_, another := r.Parents.Get(key.Namespace, key.Name)
	watched := len(r.Selection.Namespaces) == 0 || slices.Contains(r.Selection.Namespaces, key.Namespace)
	if another || !watched {
		return key, false
	}
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: uid}}
	object.SetGroupVersionKind(r.Kind)
	return r.noteLeaver(object)
}

// findExcluded notes a parent in the cache if the condition excludes it. One that it selects is
// going to be one that has left when that changes, also before its first call.
func (r leaverFinder) findExcluded(ctx context.Context, parent handlers.Object) (key kube.Key, left bool) {
	key = kube.Key{Namespace: parent.Namespace(), Name: parent.Name()}
	switch {
	case r.Where == nil:
		return key, false
	case !r.Where.excludes(ctx, parent):
		r.count(r.Memory.meet(key, parent.UID()).negative())
		noteSelected(r.Memory, parent.UID(), r.Where)
		return key, false
	}
	_, known := r.Leavers.Get(key)
	r.Leavers.Note(parent)
	return key, !known
}

// noteLeaver notes a parent of which the metadata is known. It returns false for one that is noted
// already.
func (r leaverFinder) noteLeaver(parent *metav1.PartialObjectMetadata) (key kube.Key, noted bool) {
	key = kube.Key{Namespace: parent.Namespace, Name: parent.Name}
	leaver, err := handlers.ObjectOf(parent)
	if _, known := r.Leavers.Get(key); known || err != nil {
		return key, false
	}
	r.Leavers.Note(leaver)
	return key, true
}

// FindFinalizers notes the parents that are not selected and have the finalizer and no children,
// and returns their keys: those of which FindLeavers cannot know. It makes one list of the parents
// where the definition has selectors and needs finalizers.
func FindFinalizers(ctx context.Context, reconciler *Reconciler) (found []kube.Key, err error) {
	r := leaverFinder{reconciler}
	if !r.mayFinalize() {
		return nil, nil
	}
	if r.Where != nil {
		for _, key := range r.Parents.Keys() {
			parent, ok := r.Parents.Get(key.Namespace, key.Name)
			if ok && r.isAlone(parent) && r.Where.excludes(ctx, parent) {
				r.Leavers.Note(parent)
				found = append(found, key)
			}
		}
	}
	if !r.Selects() {
		return found, nil
	}
	for _, namespace := range orAll(r.Selection.Namespaces) {
		parents, _, err := r.Client.list(ctx, query{kind: r.Kind, namespace: namespace})
		if err != nil {
			return found, err
		}
		for _, parent := range parents {
			if _, there := r.Parents.GetByUID(parent.UID()); there || !r.isAlone(parent) {
				continue
			}
			object := &metav1.PartialObjectMetadata{ObjectMeta: *parent.Metadata()}
			object.SetGroupVersionKind(r.Kind)
			if key, noted := r.noteLeaver(object); noted {
				found = append(found, key)
			}
		}
	}
	return found, nil
}

// mayFinalize reports whether parents may have the finalizer.
func (r leaverFinder) mayFinalize() bool {
	return r.Finalizes || r.Ordered || len(r.Patched) > 0 || slices.ContainsFunc(r.Children, func(s ChildSource) bool { return s.AnyNamespace })
}

// isAlone reports whether a parent has the finalizer and no children.
func (r leaverFinder) isAlone(parent handlers.Object) bool {
	finalizers := parent.Metadata().Finalizers
	ours := append(r.formerFinalizers(), FinalizerOf(r.Installation, r.Definition))
	if !slices.ContainsFunc(ours, func(name string) bool { return slices.Contains(finalizers, name) }) {
		return false
	}
	ofParent := labels.SelectorFromSet(labels.Set{ParentUIDLabel: string(parent.UID())})
	return !slices.ContainsFunc(r.children(), func(s ChildSource) bool { return len(s.Source.List("", ofParent)) > 0 })
}
