package kube

import (
	"context"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// fetcher lists and watches the objects of one resource in one namespace or all.
type fetcher interface {
	list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error)
	watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
	// sample is an empty object of the Go type that arrives.
	sample() runtime.Object
}

// newFetcher chooses how a kind travels: kinds that client-go knows as protobuf into Go structs, which costs a sixth of
// the CPU and a quarter of the memory of the generic form, all others as JSON into unstructured objects.
func newFetcher(config *rest.Config, client *http.Client, kind schema.GroupVersionKind, res resource, namespace string) (fetcher, error) {
	if scheme.Scheme.Recognizes(kind) {
		return newTypedFetcher(config, client, kind, res, namespace)
	}
	dyn, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", res.gvr.Resource, err)
	}
	f := &genericFetcher{client: dyn.Resource(res.gvr), kind: kind}
	if namespace != "" {
		f.client = dyn.Resource(res.gvr).Namespace(namespace)
	}
	return f, nil
}

type typedFetcher struct {
	client    rest.Interface
	kind      schema.GroupVersionKind
	resource  string
	namespace string
}

func newTypedFetcher(config *rest.Config, client *http.Client, kind schema.GroupVersionKind, res resource, namespace string) (fetcher, error) {
	config = rest.CopyConfig(config)
	gv := kind.GroupVersion()
	config.GroupVersion = &gv
	config.APIPath = "/apis"
	if gv.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	c, err := rest.RESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", res.gvr.Resource, err)
	}
	return &typedFetcher{client: c, kind: kind, resource: res.gvr.Resource, namespace: namespace}, nil
}

func (f *typedFetcher) get(opts metav1.ListOptions) *rest.Request {
	return f.client.Get().NamespaceIfScoped(f.namespace, f.namespace != "").Resource(f.resource).
		VersionedParams(&opts, scheme.ParameterCodec)
}

func (f *typedFetcher) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	into, err := scheme.Scheme.New(f.kind.GroupVersion().WithKind(f.kind.Kind + "List"))
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", f.resource, err)
	}
	return into, f.get(opts).Do(ctx).Into(into)
}

func (f *typedFetcher) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	opts.Watch = true
	return f.get(opts).Watch(ctx)
}

func (f *typedFetcher) sample() runtime.Object {
	obj, err := scheme.Scheme.New(f.kind)
	if err != nil {
		return nil
	}
	return obj
}

type genericFetcher struct {
	client dynamic.ResourceInterface
	kind   schema.GroupVersionKind
}

func (f *genericFetcher) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	return f.client.List(ctx, opts)
}

func (f *genericFetcher) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	return f.client.Watch(ctx, opts)
}

func (f *genericFetcher) sample() runtime.Object {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(f.kind)
	return obj
}
