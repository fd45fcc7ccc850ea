package compose

import (
	"context"
	"fmt"
	"slices"

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
	asked, err := relater.Relate(ctx, p.object)
	if err != nil {
		return nil, &composeError{err: fmt.Errorf("finding related objects: %w", err)}
	}
	for _, related := range asked {
		objects, err := p.listAsked(related)
		if err != nil {
			return nil, &composeError{err: err}
		}
		found[related.Name] = objects
	}
	p.Memory.setRelated(p.parent.UID, asked)
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

// OnRelated calls add for the parents that read an object which has changed. static is the index of
// the RelatedSource that the event is from.
func (r *Reconciler) OnRelated(source int, e kube.Event, add func(kube.Key)) {
	related := r.Related[source].Related
	if _, relates := r.Composer.(handlers.Relater); relates {
		for _, key := range r.Memory.relatedTo(related, e) {
			add(key)
		}
		return
	}
	for _, key := range r.Parents.Keys() {
		if !related.SameNamespace || key.Namespace == e.Key.Namespace {
			add(key)
		}
	}
}

func (m *Memory) setRelated(parent types.UID, asked []handlers.Related) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(parent).related = asked
}

// relatedTo returns the parents whose composer has asked for the object of an event. Of one that
// has never been asked, nothing is known, and its first call is still to come.
func (m *Memory) relatedTo(declared handlers.Related, e kube.Event) []kube.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []kube.Key
	for _, p := range m.parents {
		if slices.ContainsFunc(p.related, func(related handlers.Related) bool {
			return related.GroupVersionKind() == declared.GroupVersionKind() && concerns(related, p.key, e)
		}) {
			keys = append(keys, p.key)
		}
	}
	return keys
}

// concerns reports whether an event is about an object that related selects, before or after it.
func concerns(related handlers.Related, parent kube.Key, e kube.Event) bool {
	namespace := related.Namespace
	if related.SameNamespace {
		namespace = parent.Namespace
	}
	if namespace != "" && namespace != e.Key.Namespace || related.ObjectName != "" && related.ObjectName != e.Key.Name {
		return false
	}
	if related.LabelSelector == nil {
		return true
	}
	for _, object := range []handlers.Object{e.Old(), e.Now()} {
		if object != nil && selects(related.LabelSelector, object) {
			return true
		}
	}
	return e.Old() == nil && e.Now() == nil
}
