package kinds

import (
	"context"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
)

// maxOpenAPI bounds the OpenAPI document of one version of a group, in bytes. That of the largest
// group of Kubernetes has 1 MiB, those of large operators have some.
const maxOpenAPI = 32 << 20

// CustomKinds returns what the API server's OpenAPI says of kinds, as far as it has them: one
// request for each version of a group, whatever the number of the kinds. A document that cannot be
// had or read is one of failed, and its kinds are left out. The error is the cause of the end of
// ctx.
func (d *Discovery) CustomKinds(ctx context.Context, wanted []schema.GroupVersionKind) (
	found CustomKinds, failed map[schema.GroupVersion]error, err error,
) {
	byVersion := map[schema.GroupVersion][]schema.GroupVersionKind{}
	var versions []schema.GroupVersion
	for _, kind := range wanted {
		gv := kind.GroupVersion()
		if byVersion[gv] == nil {
			versions = append(versions, gv)
		}
		if !slices.Contains(byVersion[gv], kind) {
			byVersion[gv] = append(byVersion[gv], kind)
		}
	}
	kinds, failures := make([]CustomKinds, len(versions)), make([]error, len(versions))
	group := new(errgroup.Group)
	group.SetLimit(requestsAtOnce)
	for i, gv := range versions {
		group.Go(func() error {
			kinds[i], failures[i] = d.openAPI(ctx, gv, byVersion[gv])
			return nil
		})
	}
	_ = group.Wait() // No function returns an error.
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	failed = map[schema.GroupVersion]error{}
	for i, err := range failures {
		if err != nil {
			failed[versions[i]] = err
		}
	}
	return slices.Concat(kinds...), failed, nil
}

// openAPI returns what the document of one version of a group says of kinds. A version without a
// document has none.
func (d *Discovery) openAPI(ctx context.Context, gv schema.GroupVersion, wanted []schema.GroupVersionKind) (CustomKinds, error) {
	limited, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	path := []string{"/openapi/v3/apis", gv.Group, gv.Version}
	if gv.Group == "" {
		path = []string{"/openapi/v3/api", gv.Version}
	}
	body, err := d.client.RESTClient().Get().AbsPath(path...).SetHeader("Accept", "application/json").Stream(limited)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer func() { _ = body.Close() }()
	document, err := io.ReadAll(io.LimitReader(body, maxOpenAPI+1))
	switch {
	case err != nil:
		return nil, err
	case len(document) > maxOpenAPI:
		return nil, fmt.Errorf("it has more than %d bytes", maxOpenAPI)
	}
	types, err := expression.OfOpenAPI(document, wanted)
	if err != nil {
		return nil, err
	}
	var found CustomKinds
	for _, kind := range wanted {
		known, ok := types[kind]
		if !ok {
			continue
		}
		if resource, err := d.Kind(limited, kind); err == nil { // Who asks for the rights says why it is not served.
			found = append(found, CustomKind{Resource: resource, Type: known})
		}
	}
	return found, nil
}
