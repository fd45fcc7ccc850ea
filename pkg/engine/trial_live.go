package engine

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/offline"
)

const (
	// trialPage is how many objects one answer has, and mostTried how many of one kind a trial
	// reads.
	trialPage = 500
	mostTried = 5000
)

// fill reads what the definition reads for a parent into a server. Rights that are missing are
// noted there, and all of them are asked for.
func (t *Trials) fill(ctx context.Context, server *offline.Server, parent *unstructured.Unstructured) error {
	client, err := dynamic.NewForConfig(server.Over(t.Live))
	if err != nil {
		return fmt.Errorf("making the client of the trial: %w", err)
	}
	ofParent := labels.SelectorFromSet(labels.Set{compose.ParentUIDLabel: string(parent.GetUID())})
	watches := watchesOfComposer(t.Definition, t.Installation)
	owned, reads := len(t.Definition.Handler.Owns()), t.Definition.Handler.Reads()
	for i, w := range watches {
		q := trialQuery{kind: w.watch.Kind, namespaces: w.watch.Namespaces}
		if w.watch.LabelSelector != nil {
			q.options.LabelSelector = w.watch.LabelSelector.String()
		}
		if w.watch.FieldSelector != nil {
			q.options.FieldSelector = w.watch.FieldSelector.String()
		}
		switch related := i - owned; {
		case i < owned:
			q.options.LabelSelector = ofParent.String()
			if !ownedKinds(t.Definition)[i].AnyNamespace && parent.GetNamespace() != "" {
				q.namespaces = []string{parent.GetNamespace()}
			}
		case related < len(reads) && reads[related].SameNamespace && parent.GetNamespace() != "":
			q.namespaces = []string{parent.GetNamespace()}
		}
		if err := t.list(ctx, client, server, q); err != nil && !apierrors.IsForbidden(err) {
			return err
		}
	}
	if missing := server.Forbidden(); len(missing) > 0 {
		return &MissingRightsError{Missing: missing}
	}
	return nil
}

// MissingRightsError means that what a definition reads could not be read.
type MissingRightsError struct {
	// Missing is what the API server has said of each.
	Missing []string
}

func (e *MissingRightsError) Error() string {
	return "rights are missing:\n  " + strings.Join(e.Missing, "\n  ")
}

// trialQuery says which objects to read.
type trialQuery struct {
	kind       schema.GroupVersionKind
	namespaces []string
	options    metav1.ListOptions
}

// list reads objects into a server.
func (t *Trials) list(ctx context.Context, client dynamic.Interface, server *offline.Server, q trialQuery) error {
	resource, err := t.Finder.Kind(ctx, q.kind)
	if err != nil {
		return err
	}
	namespaces := q.namespaces
	if len(namespaces) == 0 || !resource.Namespaced {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		q.options.Continue = ""
		for n := 0; ; {
			q.options.Limit = trialPage
			page, err := client.Resource(q.kind.GroupVersion().WithResource(resource.Name)).Namespace(namespace).List(ctx, q.options)
			if err != nil {
				return fmt.Errorf("listing %s: %w", resource.Name, err)
			}
			for i := range page.Items {
				page.Items[i].SetGroupVersionKind(q.kind)
				if server.Before(offline.KeyOf(&page.Items[i])) == nil {
					server.Put(&page.Items[i])
				}
			}
			if n += len(page.Items); n > mostTried {
				return fmt.Errorf("listing %s: there are more than %d objects", resource.Name, mostTried) //nolint:err113 // for a person
			}
			if q.options.Continue = page.GetContinue(); q.options.Continue == "" {
				break
			}
		}
	}
	return nil
}
