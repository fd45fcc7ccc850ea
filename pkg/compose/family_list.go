package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
)

const (
	// listsAtOnce is how many resources are listed at a time.
	listsAtOnce = 8
	// parentsAtOnce is how many parents one selector names: they stand in the URL.
	parentsAtOnce = 100
	// followLimit is how many objects are asked for what was made for them. Each hundred takes a
	// list of every resource.
	followLimit = 300
	// depthLimit is how many levels are asked for: each takes a list of every resource.
	depthLimit = 10
)

func kindOf(r kinds.Resource) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}

// list returns all objects that were made for some others; with an error, those that were found
// until then.
func (f *Family) list(ctx context.Context, parents []*Member) (found []observedChild, err error) {
	var selectors []string
	for some := range slices.Chunk(parents, parentsAtOnce) {
		uids := make([]string, len(some))
		for i, parent := range some {
			uids[i] = string(parent.UID)
		}
		selectors = append(selectors, fmt.Sprintf("%s in (%s)", ParentUIDLabel, strings.Join(uids, ",")))
	}
	return f.listAll(ctx, selectors)
}

// listAll returns all objects that one of some selectors selects; with an error, those that were
// found until then.
func (f *Family) listAll(ctx context.Context, selectors []string) (found []observedChild, err error) {
	var mu sync.Mutex
	group, limited := errgroup.WithContext(ctx)
	group.SetLimit(listsAtOnce)
	for _, selector := range selectors {
		for _, r := range f.from {
			group.Go(func() error {
				objects, err := f.listResource(limited, &mu, r, selector)
				mu.Lock()
				defer mu.Unlock()
				found = append(found, objects...)
				return err
			})
		}
	}
	err = group.Wait()
	return found, err
}

// listResource lists one resource in all of the cluster, or where that is forbidden in the
// namespace of the object whose family it is. What cannot be listed is noted.
func (f *Family) listResource(ctx context.Context, mu *sync.Mutex, r kinds.Resource, selector string) ([]observedChild, error) {
	name := r.GroupResource()
	mu.Lock()
	namespace, narrow := f.within[name]
	refusal := f.unlisted[name]
	mu.Unlock()
	if refusal != nil && !narrow {
		return nil, nil
	}
	q := query{kind: kindOf(r), namespace: namespace, selector: selector}
	objects, err := f.listWhole(ctx, q)
	if apierrors.IsForbidden(err) && !narrow && r.Namespaced && f.home != "" {
		refusal, q.namespace = err, f.home
		if objects, err = f.listWhole(ctx, q); err == nil {
			mu.Lock()
			defer mu.Unlock()
			f.within[name], f.unlisted[name] = f.home, refusal
			return objects, nil
		}
	}
	if _, answered := statusOf(err); err != nil && (answered || kinds.IsNotServed(err)) {
		mu.Lock()
		defer mu.Unlock()
		f.unlisted[name] = err
		return objects, nil
	}
	return objects, err
}

// Unlisted returns the resources that could not be listed at all, and those that could be in the
// namespace of the object alone, each sorted.
func (f *Family) Unlisted() (nowhere, elsewhere []string) {
	for resource := range f.unlisted {
		if _, narrow := f.within[resource]; narrow {
			elsewhere = append(elsewhere, resource.String())
		} else {
			nowhere = append(nowhere, resource.String())
		}
	}
	slices.Sort(nowhere)
	slices.Sort(elsewhere)
	return nowhere, elsewhere
}

// listWhole reads whole objects with their managedFields past all caches: as they are now. Of
// Secrets it reads the metadata. With an error it returns those that were read until then.
func (f *Family) listWhole(ctx context.Context, q query) (objects []observedChild, err error) {
	t := target{kind: q.kind, namespace: q.namespace, metadataOnly: q.kind.GroupKind() == ofSecrets}
	accept := runtime.ContentTypeJSON
	if t.metadataOnly {
		accept += ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	}
	path, err := f.client.path(ctx, t)
	if err != nil {
		return nil, err
	}
	for next := ""; ; {
		request := f.client.rest.Get().AbsPath(path[:len(path)-1]...).Param("limit", strconv.Itoa(listLimit)).
			Param("labelSelector", q.selector).SetHeader("Accept", accept)
		if next != "" {
			request = request.Param("continue", next)
		}
		result := request.Do(ctx)
		body, err := result.Raw()
		if err != nil {
			return objects, result.Error() // It has the causes.
		}
		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return objects, fmt.Errorf("reading a list of %s: %w", q.kind.Kind, err)
		}
		for _, item := range page.Items {
			o, err := observeItem(item, t)
			if err != nil {
				return objects, fmt.Errorf("reading a list of %s: %w", q.kind.Kind, err)
			}
			objects = append(objects, o)
		}
		if next = page.Metadata.Continue; next == "" {
			return objects, nil
		}
	}
}

// observeItem is observeLive for an item of a list, which need not name its kind.
func observeItem(item []byte, t target) (o observedChild, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(item, &fields); err != nil {
		return o, err
	}
	apiVersion, kind := t.kind.ToAPIVersionAndKind()
	if t.metadataOnly {
		apiVersion, kind = metav1.SchemeGroupVersion.String(), "PartialObjectMetadata"
	}
	fields["apiVersion"], fields["kind"] = json.RawMessage(strconv.Quote(apiVersion)), json.RawMessage(strconv.Quote(kind))
	body, err := json.Marshal(fields)
	if err != nil {
		return o, err
	}
	return observeLive(body, t)
}
