package compose

import (
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
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

// Selects reports whether there are parents in the same namespaces that the watch does not show.
func (s Selection) Selects() bool { return s.Labels != nil || s.Fields != nil }

// query is for what is selected in a namespace, "" for all, as far as the API server selects it.
func (s Selection) query(namespace string) query {
	q := query{kind: s.Kind, namespace: namespace}
	if s.Labels != nil {
		q.selector = s.Labels.String()
	}
	if s.Fields != nil {
		q.fields = s.Fields.String()
	}
	return q
}

// selects reports whether a parent is selected, as far as can be known without the API server.
func (s Selection) selects(parent handlers.Object) bool {
	return s.Labels == nil || s.Labels.Matches(labels.Set(parent.Metadata().Labels))
}
