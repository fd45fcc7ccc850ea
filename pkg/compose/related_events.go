package compose

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
		for _, key := range askersOf(r.Memory, related.GroupVersionKind(), c.key, func(asked matcher) bool {
			return asked.concerns(c, inSelected)
		}) {
			add(key)
		}
		return
	}
	if m := newMatcher(related, c.key.Namespace); !m.selectsKey(c.key.Namespace, c.key.Name) || !inSelected(m.namespaces, c.key.Namespace) {
		return
	}
	for _, key := range r.Parents.Keys() {
		if !related.SameNamespace || key.Namespace == c.key.Namespace {
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

// OnNamespace calls add for the parents that read objects by the labels of their namespaces, when
// those of a Namespace have changed so that others are selected.
func OnNamespace(r *Reconciler, e kube.Event, add func(kube.Key)) {
	onNamespace(r, e.Old(), e.Now(), add)
}

// onNamespace is OnNamespace for a Namespace before and after its change; nil where there is none.
func onNamespace(r *Reconciler, old, now handlers.Object, add func(kube.Key)) {
	turns := func(selector labels.Selector) bool {
		is := func(o handlers.Object) bool { return o != nil && selector.Matches(labels.Set(o.Metadata().Labels)) }
		return selector != nil && is(old) != is(now)
	}
	declared := map[schema.GroupVersionKind]bool{} // whose Namespaces turn
	for _, source := range r.Related {
		declared[source.GroupVersionKind()] = declared[source.GroupVersionKind()] || turns(selectorOf(source.NamespaceSelector))
	}
	if _, relates := r.Composer.(handlers.Relater); relates {
		for _, key := range r.Memory.askers(func(asked matcher) bool {
			return declared[asked.kind] || turns(asked.namespaces)
		}) {
			add(key)
		}
		return
	}
	if slices.ContainsFunc(r.Related, func(source RelatedSource) bool { return declared[source.GroupVersionKind()] }) {
		for _, key := range r.Parents.Keys() {
			add(key)
		}
	}
}
