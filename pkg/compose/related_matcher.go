package compose

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// matcher is what a handlers.Related selects for parents in one namespace, with its selectors
// parsed: it is asked about every object and every event.
type matcher struct {
	kind               schema.GroupVersionKind
	namespace          string          // the only one; empty for any
	names              []string        // none for any
	labels, namespaces labels.Selector // nil selects everything
}

func newMatcher(related handlers.Related, parent string) matcher {
	m := matcher{
		kind: related.GroupVersionKind(), namespace: related.Namespace, names: related.ObjectNames,
		labels: selectorOf(related.LabelSelector), namespaces: selectorOf(related.NamespaceSelector),
	}
	if related.SameNamespace {
		m.namespace = parent
	}
	if related.ObjectName != "" {
		m.names = []string{related.ObjectName}
	}
	return m
}

// selects reports whether an object is selected.
func (m matcher) selects(o handlers.Object, inSelected func(labels.Selector, string) bool) bool {
	return m.selectsKey(o.Namespace(), o.Name()) && (m.labels == nil || m.labels.Matches(labels.Set(o.Metadata().Labels))) &&
		inSelected(m.namespaces, o.Namespace())
}

// selectsKey reports whether an object is selected, as far as that depends on its namespace and
// name.
func (m matcher) selectsKey(namespace, name string) bool {
	return (m.namespace == "" || m.namespace == namespace) && (len(m.names) == 0 || slices.Contains(m.names, name))
}

// concerns reports whether a change is of an object that is selected, before or after it. An object
// in a namespace that is not selected yet is looked at when that is.
func (m matcher) concerns(c change, inSelected func(labels.Selector, string) bool) bool {
	if !m.selectsKey(c.key.Namespace, c.key.Name) || !inSelected(m.namespaces, c.key.Namespace) {
		return false
	}
	if m.labels == nil {
		return true
	}
	sets := c.labels()
	return len(sets) == 0 || slices.ContainsFunc(sets, func(set labels.Set) bool { return m.labels.Matches(set) })
}

// selectorOf parses a selector, nil for one that selects everything. It was checked when it was
// declared or asked for.
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
