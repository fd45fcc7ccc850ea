package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube/wire"
)

// ReadObject makes an object, as a View has it, from the body of an answer to a request for one
// object, such as a GET or a PATCH: in protobuf, JSON or CBOR, as a whole or as
// PartialObjectMetadata. FieldsOf returns what fieldManager, empty for none, has applied of it;
// AppliedBy does, if it ends in a slash. With metadataOnly the rest of a whole object is left out.
// It is an error if the answer is of another kind, such as a Status. The body is copied.
func ReadObject(body []byte, kind schema.GroupVersionKind, fieldManager string, metadataOnly bool) (handlers.Object, error) {
	e, err := wire.ParseEnvelope(body)
	if err != nil {
		return nil, fmt.Errorf("reading a %s: %w", kind.Kind, err)
	}
	partial := e.Kind.Kind == partialKind
	if e.Kind != kind && !partial {
		return nil, fmt.Errorf("reading a %s of %s: the answer is a %q of %q", kind.Kind, kind.GroupVersion(), e.Kind.Kind, e.Kind.GroupVersion())
	}
	o, applied, err := wire.NewFieldManager(fieldManager).Object(e)
	if err == nil && o.Name == "" {
		err = errNameless
	}
	if err != nil {
		return nil, fmt.Errorf("reading a %s: %w", kind.Kind, err)
	}
	if metadataOnly && !partial {
		o = o.OnlyMetadata()
	}
	return cachedObject{&object{codec: newCodec(kind, metadataOnly || partial).with(applied), Object: o}}, nil
}
