package compose

import (
	"context"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// relate returns the related objects of the parent by name. A Relater is given what it has asked
// for and nothing else: what its plugin reads may be a whole kind.
func (p *pass) relate(ctx context.Context) (map[string][]handlers.Object, error) {
	found := make(map[string][]handlers.Object, len(p.Related))
	relater, ok := p.Composer.(handlers.Relater)
	if !ok {
		for _, source := range p.Related {
			found[source.Name] = source.list(source.Related, p.parent)
		}
		return found, nil
	}
	asked, err := relater.Relate(p.secrets.inContext(ctx), p.object)
	if err != nil {
		return nil, &composeError{err: fmt.Errorf("finding related objects: %w", err)}
	}
	p.Memory.setRelated(p.parent.UID, asked) // Before the caches are read, or a change in between calls no parent.
	for _, related := range asked {
		objects, err := p.listAsked(related)
		if err != nil {
			return nil, &composeError{err: err}
		}
		found[related.Name] = objects
	}
	return found, nil
}

// listAsked returns what a Relater has asked for, which must lie within what the plugin reads.
func (p *pass) listAsked(related handlers.Related) ([]handlers.Object, error) {
	var objects []handlers.Object
	declared := false
	for _, source := range p.Related {
		if source.GroupVersionKind() == related.GroupVersionKind() {
			declared = true
			objects = append(objects, source.list(related, p.parent)...)
		}
	}
	if !declared {
		return nil, fmt.Errorf("related %s: the plugin does not say that it reads %s %s", related.Name, related.APIVersion, related.Kind)
	}
	sortObjects(objects)
	return slices.CompactFunc(objects, func(a, b handlers.Object) bool { return a.UID() == b.UID() }), nil
}

// list returns the objects of the cache that related selects for a parent.
func (s RelatedSource) list(related handlers.Related, parent Parent) []handlers.Object {
	namespace := related.Namespace
	if related.SameNamespace {
		namespace = parent.Namespace
	}
	if related.ObjectName != "" {
		object, ok := s.Source.Get(namespace, related.ObjectName)
		switch {
		case ok && selects(related.LabelSelector, object):
			return []handlers.Object{object}
		case ok, namespace != "":
			return nil
		}
	}
	objects := s.Source.List(namespace, selectorOf(related.LabelSelector))
	if related.ObjectName != "" {
		objects = slices.DeleteFunc(objects, func(o handlers.Object) bool { return o.Name() != related.ObjectName })
	}
	sortObjects(objects)
	return objects
}

func sortObjects(objects []handlers.Object) {
	slices.SortFunc(objects, func(a, b handlers.Object) int {
		return compareTexts(a.Namespace(), b.Namespace(), a.Name(), b.Name(), string(a.UID()), string(b.UID()))
	})
}

// selectorOf returns nil for one that selects everything. It was checked when it was declared.
func selectorOf(selector *metav1.LabelSelector) labels.Selector {
	if selector == nil {
		return nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return labels.Nothing()
	}
	return parsed
}

func selects(selector *metav1.LabelSelector, object handlers.Object) bool {
	parsed := selectorOf(selector)
	return parsed == nil || parsed.Matches(labels.Set(object.Metadata().Labels))
}

// OnRelated calls add for the parents that read an object which has changed. source is the index of
// the RelatedSource that the event is from.
func (r *Reconciler) OnRelated(source int, e kube.Event, add func(kube.Key)) {
	r.onRelated(source, changeOf(e.Key, e.Old(), e.Now()), add)
	if e.Old() == nil { // A patch may wait for it.
		callWaiting(r, ChildID{Kind: r.Related[source].GroupVersionKind().GroupKind(), Namespace: e.Key.Namespace, Name: e.Key.Name}, add)
	}
}

func (r *Reconciler) onRelated(source int, c change, add func(kube.Key)) {
	related := r.Related[source].Related
	if _, relates := r.Composer.(handlers.Relater); relates {
		for _, key := range r.Memory.relatedTo(related, c) {
			add(key)
		}
		return
	}
	for _, key := range r.Parents.Keys() {
		if !related.SameNamespace || key.Namespace == "" || key.Namespace == c.key.Namespace {
			add(key)
		}
	}
}

// change is one of a related object.
type change struct {
	key    kube.Key
	labels func() []labels.Set // before and after it, as far as they are known
}

// changeOf makes a change of an object before and after it, which may be nil. Many parents may ask
// for its labels, and none.
func changeOf(key kube.Key, objects ...handlers.Object) change {
	return change{key: key, labels: sync.OnceValue(func() (sets []labels.Set) {
		for _, object := range objects {
			if object != nil {
				sets = append(sets, object.Metadata().Labels)
			}
		}
		return sets
	})}
}

func (m *Memory) setRelated(parent types.UID, asked []handlers.Related) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(parent).related = asked
}

// relatedTo returns the parents whose composer has asked for the object that has changed. Of one
// that has never been asked, nothing is known, and its first call is still to come.
func (m *Memory) relatedTo(declared handlers.Related, c change) []kube.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []kube.Key
	for _, p := range m.parents {
		if slices.ContainsFunc(p.related, func(related handlers.Related) bool {
			return related.GroupVersionKind() == declared.GroupVersionKind() && concerns(related, p.key, c)
		}) {
			keys = append(keys, p.key)
		}
	}
	return keys
}

// concerns reports whether a change is of an object that related selects, before or after it.
func concerns(related handlers.Related, parent kube.Key, c change) bool {
	namespace := related.Namespace
	if related.SameNamespace {
		namespace = parent.Namespace
	}
	if namespace != "" && namespace != c.key.Namespace || related.ObjectName != "" && related.ObjectName != c.key.Name {
		return false
	}
	selector := selectorOf(related.LabelSelector)
	if selector == nil {
		return true
	}
	sets := c.labels()
	return len(sets) == 0 || slices.ContainsFunc(sets, func(set labels.Set) bool { return selector.Matches(set) })
}
