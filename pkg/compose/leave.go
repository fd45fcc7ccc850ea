package compose

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

const (
	// leaveInterval is after how long a parent that has left is looked at again until its children
	// are gone: their events call nobody. Each time it takes twice as long as before, up to
	// lastLeaveInterval.
	leaveInterval     = time.Second
	lastLeaveInterval = time.Minute
)

// Selection is which parents a definition handles.
type Selection struct {
	// Kind is the kind of the parents.
	Kind schema.GroupVersionKind
	// Namespaces are those of the parents; none stands for all.
	Namespaces []string
	// Labels selects them; nil selects all.
	Labels labels.Selector
	// Fields selects them; nil selects all.
	Fields fields.Selector
}

// Selects reports whether there are parents in the same namespaces that are not handled.
func (s Selection) Selects() bool { return s.Labels != nil || s.Fields != nil }

// Leavers are parents that the cache does not show any more: they are gone, or are not selected any
// more. It is safe for concurrent use.
type Leavers struct {
	mu      sync.Mutex
	parents map[kube.Key]leaver
}

// leaver is one of them.
type leaver struct {
	handlers.Object
	interval time.Duration // after which it was looked at again; 0 for not yet
}

// Note adds a parent as it was known last.
func (l *Leavers) Note(parent handlers.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parents == nil {
		l.parents = map[kube.Key]leaver{}
	}
	l.parents[kube.Key{Namespace: parent.Namespace(), Name: parent.Name()}] = leaver{Object: parent}
}

// Get returns the parent of that key, or false.
func (l *Leavers) Get(key kube.Key) (handlers.Object, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	parent, ok := l.parents[key]
	return parent.Object, ok
}

// again returns after how long to look at a parent again.
func (l *Leavers) again(key kube.Key) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	parent, ok := l.parents[key]
	if ok {
		parent.interval = min(max(2*parent.interval, leaveInterval), lastLeaveInterval)
		l.parents[key] = parent
	}
	return max(parent.interval, leaveInterval)
}

// has reports whether there is a parent of that key and UID.
func (l *Leavers) has(key kube.Key, uid types.UID) bool {
	parent, ok := l.Get(key)
	return ok && parent.UID() == uid
}

func (l *Leavers) drop(key kube.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.parents, key)
}

func (l *Leavers) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.parents)
}

// leave deletes the children of a parent that is not handled any more because it has left the
// selectors by its own change, and removes the finalizer. The children of one that is gone are the
// garbage collector's.
func (p cleaning) leave(ctx context.Context) (handlers.Result, error) {
	live, err := p.findLive(ctx)
	switch {
	case err != nil:
		return handlers.Result{}, slowly(err, p.req.Attempt)
	case live == nil:
		p.Leavers.drop(p.key)
		return handlers.Result{}, nil
	}
	p.setParent(live)
	if isPaused(p.meta) {
		return handlers.Result{RequeueAfter: p.Leavers.again(p.key)}, nil // The end of it is no event.
	}
	if !p.mayWrite(ctx) {
		return handlers.Result{RequeueAfter: listedInterval}, ended(ctx)
	}
	p.all = p.meta.DeletionTimestamp == nil
	var left []string
	if !slices.Contains(p.meta.Finalizers, metav1.FinalizerOrphanDependents) {
		left, err = p.deleteSeenAndUnseen(ctx)
	}
	switch {
	case err != nil:
		return handlers.Result{}, slowly(err, p.req.Attempt)
	case len(left) > 0:
		return handlers.Result{RequeueAfter: p.Leavers.again(p.key)}, nil
	}
	if p.hasFinalizer() {
		client, err := p.parentClient(ctx)
		if err == nil {
			err = kube.RemoveFinalizer(ctx, client, p.object, append(p.formerFinalizers(), p.finalizer())...)
		}
		if err != nil {
			return handlers.Result{}, err
		}
	}
	p.Leavers.drop(p.key)
	p.Logger.Info("a parent is not selected any more, and its children were deleted", "parent", p.parent.text())
	return handlers.Result{}, nil
}

// findLive returns the parent as it is now, if it exists and is not selected. It takes the right to
// list alone.
func (p cleaning) findLive(ctx context.Context) (handlers.Object, error) {
	q := query{kind: p.Kind, namespace: p.parent.Namespace, fields: fields.OneTermEqualSelector("metadata.name", p.parent.Name).String()}
	live, err := p.listParent(ctx, q)
	if live == nil || err != nil {
		return nil, err
	}
	if s := p.Selection.Labels; s != nil && !s.Matches(labels.Set(live.Metadata().Labels)) {
		return live, nil
	}
	if p.Selection.Fields == nil {
		return nil, nil //nolint:nilnil // it is selected, and its event is going to come
	}
	q.fields += "," + p.Selection.Fields.String()
	selected, err := p.listParent(ctx, q)
	if selected != nil || err != nil {
		return nil, err
	}
	return live, nil
}

// listParent returns the parent if a list has it, or nil.
func (p cleaning) listParent(ctx context.Context, q query) (handlers.Object, error) {
	objects, _, err := p.Client.list(ctx, q)
	for _, object := range objects {
		if object.UID() == p.parent.UID {
			return object, err
		}
	}
	return nil, err
}

// FindLeavers notes the parents of all children that are not handled, and returns their keys. They
// may have left while no process was there to see it.
func FindLeavers(r *Reconciler) (found []kube.Key) {
	ofDefinition := r.Identity.selector()
	for _, source := range r.children() {
		for _, child := range source.Source.List("", ofDefinition) {
			uid, parent := ParentUID(child), child.Metadata().Annotations[ParentAnnotation]
			if _, handled := r.Parents.GetByUID(uid); handled || parent == "" {
				continue
			}
			key := kube.Key{Name: parent}
			if namespace, name, ok := strings.Cut(parent, "/"); ok {
				key = kube.Key{Namespace: namespace, Name: name}
			}
			_, another := r.Parents.Get(key.Namespace, key.Name)
			_, known := r.Leavers.Get(key)
			watched := len(r.Selection.Namespaces) == 0 || slices.Contains(r.Selection.Namespaces, key.Namespace)
			if another || known || !watched {
				continue
			}
			object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: uid}}
			object.SetGroupVersionKind(r.Kind)
			if leaver, err := handlers.ObjectOf(object); err == nil {
				r.Leavers.Note(leaver)
				found = append(found, key)
			}
		}
	}
	return found
}
