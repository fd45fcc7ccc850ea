package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube/wire"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// errNameless stands for what has come in the place of an object.
var errNameless = errors.New("what has arrived is no object: it has no name")

// codec is what many objects of a source have in common: all, or those of which the same fields
// were applied.
type codec struct {
	kind         schema.GroupVersionKind
	metadataOnly bool
	message      reflect.Type      // the pointer type that protobuf is decoded into; nil when there is none
	rest         metav1.ObjectMeta // what a metaAccessor has of an object's metadata besides names: nothing
	fields       *fieldSet         // what the source's field manager has applied; nil for nothing
}

func newCodec(kind schema.GroupVersionKind, metadataOnly bool) *codec {
	f := &codec{kind: kind, metadataOnly: metadataOnly}
	if metadataOnly {
		f.message = reflect.TypeFor[*metav1.PartialObjectMetadata]()
	} else if empty, err := scheme.Scheme.New(kind); err == nil {
		f.message = reflect.TypeOf(empty)
	}
	return f
}

// object is an object as it arrives and as it is cached: its encoding, and what is needed to find
// it. It does not change. The reflector sees a runtime.Object in it, and a cachedObject is made of
// it for a handler.
type object struct {
	wire.Object
	codec *codec
}

var (
	_ runtime.Object            = (*object)(nil)
	_ metav1.ObjectMetaAccessor = (*object)(nil)
	_ handlers.Object           = cachedObject{}
)

func (o *object) GetObjectKind() schema.ObjectKind {
	return &metav1.TypeMeta{APIVersion: o.codec.kind.GroupVersion().String(), Kind: o.codec.kind.Kind}
}

// DeepCopyObject implements runtime.Object. What does not change needs no copy.
func (o *object) DeepCopyObject() runtime.Object { return o }

func (o *object) GetObjectMeta() metav1.Object {
	return metaAccessor{object: o, Object: &o.codec.rest}
}

// String names the object, in place of all that is in it: what is printed may get into a log, and
// the object may be a Secret.
func (o *object) String() string { return telemetry.ObjectName(o.Namespace, o.Name) }

// MarshalJSON implements json.Marshaler, for logs: see String.
func (o *object) MarshalJSON() ([]byte, error) { return json.Marshal(o.String()) }

// size is how many bytes the object has as it is kept; 0 for nil.
func (o *object) size() int64 {
	if o == nil {
		return 0
	}
	return int64(len(o.Data))
}

func (o *object) key() Key { return Key{Namespace: o.Namespace, Name: o.Name} }

// matches reports whether all selectors select the object; nil selects everything.
func (o *object) matches(selectors ...labels.Selector) bool {
	var set labels.Set
	for _, selector := range selectors {
		if selector == nil || selector.Empty() {
			continue
		}
		if set == nil {
			set = o.Labels()
		}
		if !selector.Matches(set) {
			return false
		}
	}
	return true
}

// metaAccessor is the part of the metadata that the reflector reads, without decoding the rest for
// it.
type metaAccessor struct {
	metav1.Object // empty
	object        *object
}

func (i metaAccessor) GetNamespace() string { return i.object.Namespace }

func (i metaAccessor) GetName() string { return i.object.Name }

func (i metaAccessor) GetUID() types.UID { return i.object.UID }

func (i metaAccessor) GetResourceVersion() string { return i.object.ResourceVersion }

// GetAnnotations implements metav1.Object. The reflector reads those of bookmarks.
func (i metaAccessor) GetAnnotations() map[string]string {
	m, err := i.object.Metadata()
	if err != nil {
		return nil
	}
	return m.Annotations
}

// objectList is a list as it arrives.
type objectList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []*object
}

func newObjectList(f *codec, list wire.List, dedupe func(*object) *object) (*objectList, error) {
	l := &objectList{ListMeta: list.ListMeta, Items: make([]*object, 0, len(list.Objects))}
	for i, o := range list.Objects {
		if o.Name == "" {
			return nil, errNameless
		}
		of := f
		if list.Applied != nil {
			of = f.with(list.Applied[i])
		}
		l.Items = append(l.Items, dedupe(&object{codec: of, Object: o}))
	}
	return l, nil
}

func (l *objectList) DeepCopyObject() runtime.Object { return l }

// cachedObject is what a handler sees of an object.
type cachedObject struct{ o *object }

func (c cachedObject) GroupVersionKind() schema.GroupVersionKind { return c.o.codec.kind }

func (c cachedObject) Namespace() string { return c.o.Namespace }

func (c cachedObject) Name() string { return c.o.Name }

func (c cachedObject) UID() types.UID { return c.o.UID }

func (c cachedObject) ResourceVersion() string { return c.o.ResourceVersion }

func (c cachedObject) Metadata() *metav1.ObjectMeta {
	m, err := c.o.Metadata()
	if err == nil {
		return m
	}
	// Only an aggregated API server sends what cannot be decoded, such as a time in another format.
	// JSON and Into return the error; here is what can be read nevertheless.
	m = &metav1.ObjectMeta{
		Namespace: c.o.Namespace, Name: c.o.Name, UID: c.o.UID, ResourceVersion: c.o.ResourceVersion, Labels: c.o.Labels(),
	}
	if c.o.Deleting() {
		at := metav1.Unix(0, 0) // When is not known, but handlers take a zero time for none.
		m.DeletionTimestamp = &at
	}
	return m
}

func (c cachedObject) JSON() ([]byte, error) {
	if c.o.Encoding == wire.JSON {
		return c.named()
	}
	typed, err := c.typed()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(typed)
	if err != nil {
		return nil, c.wrap("encoding", err)
	}
	return b, nil
}

// named returns a copy of the JSON with the kind as the definition names it, which lists of
// built-in kinds leave out and metadata alone has its own.
func (c cachedObject) named() ([]byte, error) {
	e, err := wire.ParseEnvelope(c.o.Data)
	if err != nil {
		return nil, c.wrap("reading", err)
	}
	if e.Kind == c.o.codec.kind {
		return append([]byte(nil), c.o.Data...), nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(c.o.Data, &fields); err != nil {
		return nil, c.wrap("reading", err)
	}
	fields["apiVersion"] = json.RawMessage(strconv.Quote(c.o.codec.kind.GroupVersion().String()))
	fields["kind"] = json.RawMessage(strconv.Quote(c.o.codec.kind.Kind))
	b, err := json.Marshal(fields)
	if err != nil {
		return nil, c.wrap("encoding", err)
	}
	return b, nil
}

// message is a Go struct that reads itself from protobuf.
type message interface {
	runtime.Object
	Unmarshal(data []byte) error
}

// typed decodes protobuf into the Go struct of the kind.
func (c cachedObject) typed() (runtime.Object, error) {
	if c.o.codec.message == nil {
		return nil, c.wrap("decoding", errors.New("no Go type is known for it"))
	}
	into := reflect.New(c.o.codec.message.Elem()).Interface()
	m, ok := into.(message)
	if !ok {
		return nil, c.wrap("decoding", fmt.Errorf("%T does not read protobuf", into))
	}
	return m, c.read(m)
}

func (c cachedObject) read(into message) error {
	if err := into.Unmarshal(c.o.Data); err != nil {
		return c.wrap("decoding", err)
	}
	into.GetObjectKind().SetGroupVersionKind(c.o.codec.kind)
	return nil
}

// Into implements handlers.Object. Protobuf is decoded straight into the Go struct of the kind.
func (c cachedObject) Into(into any) error {
	dst := reflect.ValueOf(into)
	if dst.Kind() != reflect.Pointer || dst.IsNil() {
		return c.wrap("decoding", fmt.Errorf("want a non-nil pointer, have %T", into))
	}
	if m, ok := into.(message); ok && c.o.Encoding == wire.Protobuf && dst.Type() == c.o.codec.message {
		dst.Elem().SetZero()
		return c.read(m)
	}
	if partial, ok := into.(*metav1.PartialObjectMetadata); ok {
		m, err := c.o.Metadata()
		if err != nil {
			return c.wrap("decoding", err)
		}
		*partial = metav1.PartialObjectMetadata{ObjectMeta: *m}
		partial.SetGroupVersionKind(c.o.codec.kind)
		return nil
	}
	b, err := c.JSON()
	if err != nil {
		return err
	}
	return handlers.DecodeJSON(b, into)
}

func (c cachedObject) wrap(doing string, err error) error {
	return fmt.Errorf("%s %s %s/%s: %w", doing, c.o.codec.kind.Kind, c.o.Namespace, c.o.Name, err)
}
