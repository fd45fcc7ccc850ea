package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// Client makes the requests of one definition. It is safe for concurrent use.
type Client struct {
	rest   rest.Interface
	finder kinds.Finder

	asking    chan struct{} // holds a value while the finder is asked: many parents want to know at once
	mu        sync.Mutex
	resources map[schema.GroupVersionKind]kinds.Resource
}

// NewClient returns a client that sends by config, which has the gate in it, and asks finder how
// kinds are served.
func NewClient(config *rest.Config, finder kinds.Finder) (*Client, error) {
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion() // for the Status of an error
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for children: %w", err)
	}
	return &Client{rest: client, finder: finder, asking: make(chan struct{}, 1), resources: map[schema.GroupVersionKind]kinds.Resource{}}, nil
}

// resource finds how a kind is served, once.
func (c *Client) resource(ctx context.Context, kind schema.GroupVersionKind) (kinds.Resource, error) {
	if known, ok := c.known(kind); ok {
		return known, nil
	}
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return kinds.Resource{}, context.Cause(ctx)
	}
	if known, ok := c.known(kind); ok {
		return known, nil // since
	}
	found, err := c.finder.Kind(ctx, kind)
	if err != nil {
		return found, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resources[kind] = found
	return found, nil
}

func (c *Client) known(kind schema.GroupVersionKind) (kinds.Resource, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.resources[kind]
	return known, ok
}

// forget makes the next request ask how a kind is served.
func (c *Client) forget(kind schema.GroupVersionKind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.resources, kind)
}

// target is one object to send a request to.
type target struct {
	kind         schema.GroupVersionKind
	namespace    string
	name         string
	metadataOnly bool // the answer may leave out everything else
	json         bool // the answer has to be JSON
}

// accept is the Accept header of a request for an object.
func (t target) accept() string {
	const partial = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	switch {
	case t.json && t.metadataOnly:
		return runtime.ContentTypeJSON + partial + "," + runtime.ContentTypeJSON
	case t.json:
		return runtime.ContentTypeJSON
	case t.metadataOnly:
		return runtime.ContentTypeProtobuf + partial + "," + runtime.ContentTypeJSON + partial + "," + runtime.ContentTypeJSON
	case scheme.Scheme.Recognizes(t.kind):
		return runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	default:
		return runtime.ContentTypeJSON
	}
}

// path is where the object is served.
func (c *Client) path(ctx context.Context, t target) ([]string, error) {
	resource, err := c.resource(ctx, t.kind)
	if err != nil {
		return nil, err
	}
	path := []string{"/apis", t.kind.Group, t.kind.Version}
	if t.kind.Group == "" {
		path = []string{"/api", t.kind.Version}
	}
	if t.namespace != "" {
		path = append(path, "namespaces", t.namespace)
	}
	return append(path, resource.Name, t.name), nil
}

// send sends a request about an object, and returns the object that is the answer.
func (c *Client) send(
	ctx context.Context, t target, subresource string, build func(path ...string) *rest.Request,
) (handlers.Object, error) {
	body, err := c.sendRaw(ctx, t, subresource, build)
	if err != nil {
		return nil, err
	}
	return kube.ReadObject(body, t.kind, FieldManager, t.metadataOnly)
}

// sendRaw is send with the answer as it is.
func (c *Client) sendRaw(ctx context.Context, t target, subresource string, build func(path ...string) *rest.Request) ([]byte, error) {
	path, err := c.path(ctx, t)
	if err != nil {
		return nil, err
	}
	if subresource != "" {
		path = append(path, subresource)
	}
	result := build(path...).SetHeader("Accept", t.accept()).Do(ctx)
	var code int
	result.StatusCode(&code)
	body, err := result.Raw()
	if err != nil {
		if code == http.StatusNotFound {
			c.forget(t.kind) // It may be served in another way by now, or not at all.
		}
		return nil, result.Error() // It has the causes.
	}
	return body, nil
}

// apply applies an object by server-side apply.
func (c *Client) apply(ctx context.Context, t target, body []byte, force bool) (handlers.Object, error) {
	return c.send(ctx, t, "", func(path ...string) *rest.Request {
		return c.rest.Patch(types.ApplyPatchType).AbsPath(path...).Param("fieldManager", FieldManager).
			Param("force", strconv.FormatBool(force)).Body(body)
	})
}

// tryCreate asks whether an object could be created, and creates nothing. The name of t does not
// count.
func (c *Client) tryCreate(ctx context.Context, t target, body []byte) error {
	_, err := c.send(ctx, t, "", func(path ...string) *rest.Request {
		return c.rest.Post().AbsPath(path[:len(path)-1]...).Param("fieldManager", FieldManager).
			Param("dryRun", metav1.DryRunAll).Body(body)
	})
	return err
}

// get reads an object, past all caches.
func (c *Client) get(ctx context.Context, t target) (handlers.Object, error) {
	return c.send(ctx, t, "", func(path ...string) *rest.Request { return c.rest.Get().AbsPath(path...) })
}

// mergePatch changes an object by a merge patch.
func (c *Client) mergePatch(ctx context.Context, t target, body []byte) (handlers.Object, error) {
	return c.send(ctx, t, "", func(path ...string) *rest.Request {
		return c.rest.Patch(types.MergePatchType).AbsPath(path...).Param("fieldManager", FieldManager).Body(body)
	})
}

// patchStatus changes the status by a merge patch.
func (c *Client) patchStatus(ctx context.Context, t target, body []byte) (handlers.Object, error) {
	return c.send(ctx, t, "status", func(path ...string) *rest.Request {
		return c.rest.Patch(types.MergePatchType).AbsPath(path...).Param("fieldManager", FieldManager).Body(body)
	})
}

// patchMetadata changes the metadata of an object by a merge patch.
func (c *Client) patchMetadata(ctx context.Context, t target, metadata map[string]any) error {
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	_, err = c.send(ctx, t, "", func(path ...string) *rest.Request {
		return c.rest.Patch(types.MergePatchType).AbsPath(path...).Param("fieldManager", FieldManager).Body(body)
	})
	return err
}

// delete deletes the very version of an object that is known. It returns the object if that is
// still there, being deleted.
func (c *Client) delete(ctx context.Context, t target, uid types.UID, resourceVersion string) (handlers.Object, error) {
	path, err := c.path(ctx, t)
	if err != nil {
		return nil, err
	}
	background := metav1.DeletePropagationBackground
	result := c.rest.Delete().AbsPath(path...).Body(&metav1.DeleteOptions{
		TypeMeta:          metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions:     &metav1.Preconditions{UID: &uid, ResourceVersion: &resourceVersion},
		PropagationPolicy: &background,
	}).SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx)
	body, err := result.Raw()
	if err != nil {
		return nil, result.Error() // It has the causes.
	}
	var answer metav1.PartialObjectMetadata
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("reading what has become of a %s: %w", t.kind.Kind, err)
	}
	graceful := answer.DeletionGracePeriodSeconds != nil && *answer.DeletionGracePeriodSeconds > 0
	if answer.Kind != t.kind.Kind || len(answer.Finalizers) == 0 && !graceful {
		return nil, nil //nolint:nilnil // there is none any more
	}
	return kube.ReadObject(body, t.kind, FieldManager, t.metadataOnly)
}
