package engine

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/pager"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/kinds"
)

// planPage is how many objects one answer has: with one request for each kind of most clusters, the
// requests of a plan do not depend on how many objects there are.
const planPage = 5000

// planLists read objects of an API server, each list once.
type planLists struct {
	finder  kinds.Finder
	dynamic dynamic.Interface
	meta    metadata.Interface
	known   map[string]planList
}

type planList struct {
	objects []*unstructured.Unstructured
	err     error
}

// get returns the objects of a query. They must not be changed.
func (l *planLists) get(ctx context.Context, q trialQuery) (all []*unstructured.Unstructured, err error) {
	resource, err := l.finder.Kind(ctx, q.kind)
	if err != nil {
		return nil, err
	}
	namespaces := q.namespaces
	if len(namespaces) == 0 || !resource.Namespaced {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		key := strings.Join([]string{q.kind.String(), namespace, q.options.LabelSelector, q.options.FieldSelector}, "\x00")
		list, known := l.known[key]
		if !known {
			list.objects, list.err = l.read(ctx, q, namespace, resource)
			l.known[key] = list
		}
		if list.err != nil {
			return nil, list.err
		}
		all = append(all, list.objects...)
	}
	return all, nil
}

func (l *planLists) read(ctx context.Context, q trialQuery, namespace string, resource kinds.Resource) (all []*unstructured.Unstructured, err error) {
	client := l.dynamic.Resource(q.kind.GroupVersion().WithResource(resource.Name)).Namespace(namespace)
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.List(ctx, options)
	})
	pages.PageSize = planPage
	err = pages.EachListItem(ctx, q.options, func(item runtime.Object) error {
		o, ok := item.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("it is a %T", item) //nolint:err113 // for a person
		}
		o.SetGroupVersionKind(q.kind)
		all = append(all, o)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", resource.Name, err)
	}
	return all, nil
}

// count counts the objects of a query.
func (l *planLists) count(ctx context.Context, q trialQuery) (n int, err error) {
	resource, err := l.finder.Kind(ctx, q.kind)
	if err != nil {
		return 0, err
	}
	namespaces := q.namespaces
	if len(namespaces) == 0 || !resource.Namespaced {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		client := l.meta.Resource(q.kind.GroupVersion().WithResource(resource.Name)).Namespace(namespace)
		pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, options)
		})
		pages.PageSize = planPage
		if err := pages.EachListItem(ctx, q.options, func(runtime.Object) error {
			n++
			return nil
		}); err != nil {
			return 0, fmt.Errorf("listing %s: %w", resource.Name, err)
		}
	}
	return n, nil
}

// planQueries are for what a definition reads: first its parents, then what it watches besides, and
// what is left of kinds that it does not own any more.
func planQueries(t *Trials) []trialQuery {
	queries := []trialQuery{parentsQuery(t)}
	for _, w := range watchesOfComposer(t.Definition, t.Installation) {
		q := trialQuery{kind: w.watch.Kind, namespaces: w.watch.Namespaces}
		if w.watch.LabelSelector != nil {
			q.options.LabelSelector = w.watch.LabelSelector.String()
		}
		if w.watch.FieldSelector != nil {
			q.options.FieldSelector = w.watch.FieldSelector.String()
		}
		queries = append(queries, q)
	}
	ofInstallation := labels.SelectorFromSet(labels.Set{compose.InstallationLabel: t.Installation}).String()
	for _, kind := range t.planned.former {
		queries = append(queries, trialQuery{
			kind: kind.GroupVersionKind(), namespaces: kind.Namespaces, options: metav1.ListOptions{LabelSelector: ofInstallation},
		})
	}
	return queries
}

func parentsQuery(t *Trials) trialQuery {
	watch := t.Definition.Watch
	q := trialQuery{kind: watch.Kind, namespaces: watch.Namespaces}
	q.options.LabelSelector, q.options.FieldSelector = textOf(watch.LabelSelector), textOf(watch.FieldSelector)
	return q
}

// isOfRights reports whether an error is that a right is missing.
func isOfRights(err error) bool { return apierrors.IsForbidden(err) }
