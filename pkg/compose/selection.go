package compose

import (
	"context"

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
	// Where selects them by what they are; nil selects all. Unlike the others it is no part of the
	// watch, so the cache has parents that are not handled.
	Where *Where
}

// Selects reports whether there are parents in the same namespaces that the watch does not show.
func (s Selection) Selects() bool { return s.Labels != nil || s.Fields != nil }

// query is for what is selected in a namespace, "" for all, as far as the API server selects it.
// What Where reads is in the answer.
func (s Selection) query(namespace string) query {
	q := query{kind: s.Kind, namespace: namespace, whole: s.Where != nil}
	if s.Labels != nil {
		q.selector = s.Labels.String()
	}
	if s.Fields != nil {
		q.fields = s.Fields.String()
	}
	return q
}

// selects reports whether a parent is selected, as far as can be known without the API server.
func (s Selection) selects(ctx context.Context, parent handlers.Object) bool {
	return (s.Labels == nil || s.Labels.Matches(labels.Set(parent.Metadata().Labels))) && !s.Where.excludes(ctx, parent)
}

// Excludes reports whether Where does not select a parent in the cache. One that is being deleted
// is handled in any case.
func (s Selection) Excludes(ctx context.Context, parent handlers.Object) bool {
	return s.Where.excludes(ctx, parent)
}
