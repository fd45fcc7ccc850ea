package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

// fetcher lists and watches the objects of one resource in one namespace or all. What arrives are
// *object and *objectList.
type fetcher interface {
	list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error)
	watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// What is asked for, in the order of preference. Kinds that client-go knows travel as protobuf,
// which is a third of the size; custom kinds have no protobuf but for their metadata, which is a
// kind of Kubernetes itself.
const (
	acceptJSON     = runtime.ContentTypeJSON
	acceptProtobuf = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	asPartial      = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	asPartialList  = ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
)

// partialKind is the kind of an object of which there is the metadata alone.
const partialKind = "PartialObjectMetadata"

// restFetcher is the fetcher over HTTP. It does not decode objects: see package wire.
type restFetcher struct {
	client       rest.Interface
	codec        *codec
	resource     string
	namespace    string
	fieldManager string // whose fields are kept; empty for none
	acceptList   string
	acceptOne    string
	dedupe       func(*object) *object
}

// newFetcher makes a restFetcher. dedupe returns what to keep for an object that has arrived.
func newFetcher(config *rest.Config, client *http.Client, id sourceID, res resource, dedupe func(*object) *object) (fetcher, error) {
	config = rest.CopyConfig(config)
	gv := id.kind.GroupVersion()
	config.GroupVersion = &gv
	config.APIPath = "/apis"
	if gv.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion() // for the Status of an error
	c, err := rest.RESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", res.gvr.Resource, err)
	}
	f := &restFetcher{
		client: c, codec: newCodec(id.kind, id.metadataOnly), resource: res.gvr.Resource, namespace: id.namespace,
		fieldManager: id.fieldManager, acceptList: acceptJSON, acceptOne: acceptJSON, dedupe: dedupe,
	}
	switch {
	case id.metadataOnly:
		f.acceptList = runtime.ContentTypeProtobuf + asPartialList + "," + runtime.ContentTypeJSON + asPartialList + "," + runtime.ContentTypeJSON
		f.acceptOne = runtime.ContentTypeProtobuf + asPartial + "," + runtime.ContentTypeJSON + asPartial + "," + runtime.ContentTypeJSON
	case scheme.Scheme.Recognizes(id.kind):
		f.acceptList, f.acceptOne = acceptProtobuf, acceptProtobuf
	}
	return f, nil
}

func (f *restFetcher) get(opts metav1.ListOptions) *rest.Request {
	return f.client.Get().NamespaceIfScoped(f.namespace, f.namespace != "").Resource(f.resource).
		SpecificallyVersionedParams(&opts, metav1.ParameterCodec, schema.GroupVersion{Version: "v1"})
}

func (f *restFetcher) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	result := f.get(opts).SetHeader("Accept", f.acceptList).Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	body, err := result.Raw()
	if err != nil {
		return nil, err
	}
	list, err := wire.NewFieldManager(f.fieldManager).ParseList(body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.resource, err)
	}
	objects, err := newObjectList(f.codec, list, f.dedupe)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.resource, err)
	}
	return objects, nil
}

func (f *restFetcher) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	opts.Watch = true
	body, err := f.get(opts).SetHeader("Accept", f.acceptOne).Stream(ctx)
	if err != nil {
		return nil, err
	}
	return watch.NewStreamWatcher(&streamDecoder{
		codec: f.codec, manager: wire.NewFieldManager(f.fieldManager), stream: wire.NewStream(body), body: body, dedupe: f.dedupe,
	}, reporter{}), nil
}

// streamDecoder reads the events of a watch.
type streamDecoder struct {
	codec   *codec
	manager *wire.FieldManager
	stream  *wire.Stream
	body    io.Closer
	dedupe  func(*object) *object
}

func (d *streamDecoder) Decode() (watch.EventType, runtime.Object, error) {
	event, err := d.stream.Next()
	if err != nil {
		return "", nil, err
	}
	switch event.Type {
	case watch.Error:
		status, err := event.Status()
		return watch.Error, status, err
	case watch.Added, watch.Modified, watch.Deleted, watch.Bookmark:
	default:
		return "", nil, fmt.Errorf("reading an event: there is no type %q", event.Type)
	}
	o, applied, err := d.manager.Object(event.Envelope)
	switch {
	case err != nil:
		return "", nil, err
	case event.Type == watch.Bookmark:
		return event.Type, &object{codec: d.codec, Object: o}, nil
	case event.Kind.Kind != d.codec.kind.Kind && event.Kind.Kind != partialKind:
		return "", nil, fmt.Errorf("reading an event: it is of a %q, not of a %s", event.Kind.Kind, d.codec.kind.Kind)
	case o.Name == "":
		return "", nil, fmt.Errorf("reading an event: %w", errNameless)
	}
	return event.Type, d.dedupe(&object{codec: d.codec.with(applied), Object: o}), nil
}

func (d *streamDecoder) Close() { _ = d.body.Close() }

// reporter makes the event of an error that ends a watch.
type reporter struct{}

func (reporter) AsObject(err error) runtime.Object {
	return &metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Code: http.StatusInternalServerError, Message: err.Error()}
}
