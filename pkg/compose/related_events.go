package compose

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

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
	inSelected := inSelectedNamespace(r, func(string) {}) // The event of the Namespace calls, too.
	if _, relates := r.Composer.(handlers.Relater); relates {
		for _, key := range r.Memory.askers(func(asked handlers.Related, parent kube.Key) bool {
			return asked.GroupVersionKind() == related.GroupVersionKind() && concerns(asked, parent, c, inSelected)
		}) {
			add(key)
		}
		return
	}
	for _, key := range r.Parents.Keys() {
		if selectsKey(related, key.Namespace, c.key.Namespace, c.key.Name) && inSelected(related.NamespaceSelector, c.key.Namespace) {
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

// askers returns the parents whose composer has asked for something of which is true. Of one that
// has never been asked, nothing is known, and its first call is still to come.
func (m *Memory) askers(is func(asked handlers.Related, parent kube.Key) bool) (keys []kube.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parents {
		if slices.ContainsFunc(p.related, func(asked handlers.Related) bool { return is(asked, p.key) }) {
			keys = append(keys, p.key)
		}
	}
	return keys
}

// concerns reports whether a change is of an object that related selects, before or after it. An
// object in a namespace that is not selected yet is looked at when that is.
func concerns(related handlers.Related, parent kube.Key, c change, inSelected func(*metav1.LabelSelector, string) bool) bool {
	if !selectsKey(related, parent.Namespace, c.key.Namespace, c.key.Name) || !inSelected(related.NamespaceSelector, c.key.Namespace) {
		return false
	}
	selector := selectorOf(related.LabelSelector)
	if selector == nil {
		return true
	}
	sets := c.labels()
	return len(sets) == 0 || slices.ContainsFunc(sets, func(set labels.Set) bool { return selector.Matches(set) })
}

// OnNamespace calls add for the parents that read objects by the labels of their namespaces, when
// those of a Namespace have changed so that others are selected.
func OnNamespace(r *Reconciler, e kube.Event, add func(kube.Key)) {
	onNamespace(r, e.Old(), e.Now(), add)
}

// onNamespace is OnNamespace for a Namespace before and after its change; nil where there is none.
func onNamespace(r *Reconciler, old, now handlers.Object, add func(kube.Key)) {
	turns := func(related handlers.Related) bool {
		selector := selectorOf(related.NamespaceSelector)
		is := func(o handlers.Object) bool { return o != nil && selector.Matches(labels.Set(o.Metadata().Labels)) }
		return selector != nil && is(old) != is(now)
	}
	declared := map[schema.GroupVersionKind]bool{} // whose Namespaces turn
	for _, source := range r.Related {
		declared[source.GroupVersionKind()] = declared[source.GroupVersionKind()] || turns(source.Related)
	}
	if _, relates := r.Composer.(handlers.Relater); relates {
		for _, key := range r.Memory.askers(func(asked handlers.Related, _ kube.Key) bool {
			return declared[asked.GroupVersionKind()] || turns(asked)
		}) {
			add(key)
		}
		return
	}
	if slices.ContainsFunc(r.Related, func(source RelatedSource) bool { return turns(source.Related) }) {
		for _, key := range r.Parents.Keys() {
			add(key)
		}
	}
}
