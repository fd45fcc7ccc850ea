package wire

import (
	"bytes"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Encoding is how an object is written.
type Encoding uint8

// Encodings that the API server sends.
const (
	// JSON is that of custom kinds, and of any kind where the server does not speak protobuf.
	JSON Encoding = iota
	// Protobuf is that of kinds that Kubernetes itself has.
	Protobuf
)

// Object is one encoded object. It must not be changed.
type Object struct {
	// Namespace is empty for a cluster-scoped object.
	Namespace string
	// Name is the object's name.
	Name string
	// UID distinguishes two objects of one name.
	UID types.UID
	// ResourceVersion is the version of this state.
	ResourceVersion string
	// Data is the object in its encoding, without managedFields. In protobuf it is the bare
	// message, without the envelope that names its kind; JSON from a list of a built-in kind may
	// lack apiVersion and kind.
	Data []byte
	// Encoding is that of Data.
	Encoding Encoding

	metaStart, metaEnd uint32 // where the metadata is in Data; equal when there is none
	appliedOwners      uint32 // bits: the owner references, by place, that a FieldManager has found applied
}

// List is an answer with many objects.
type List struct {
	// ListMeta is that of the answer.
	metav1.ListMeta
	// Objects are in the order of the answer.
	Objects []Object
	// Applied is what the manager has applied of each object, in the same order; nil without a
	// FieldManager.
	Applied []Applied
}

// MetadataBytes returns the encoded metadata, nil when there is none.
func (o *Object) MetadataBytes() []byte {
	if o.metaStart == o.metaEnd {
		return nil
	}
	return o.Data[o.metaStart:o.metaEnd]
}

// OnlyMetadata returns the object with nothing but its metadata.
func (o *Object) OnlyMetadata() Object {
	only := *o
	metadata := o.MetadataBytes()
	switch {
	case o.Encoding == Protobuf:
		only.Data = bytes.Clone(o.Data[:o.metaEnd]) // The metadata is the first field.
	case metadata == nil:
		only.Data = []byte("{}")
	default:
		const before, after = `{"metadata":`, `}`
		only.Data = make([]byte, 0, len(before)+len(metadata)+len(after))
		only.Data = append(append(append(only.Data, before...), metadata...), after...)
		only.metaStart, only.metaEnd = uint32(len(before)), uint32(len(before)+len(metadata))
	}
	return only
}

// Labels decodes the labels alone, which are asked for more often than anything else.
func (o *Object) Labels() map[string]string {
	if o.Encoding == Protobuf {
		return protobufLabels(o.MetadataBytes())
	}
	return jsonLabels(o.MetadataBytes())
}

// Metadata decodes the metadata alone.
func (o *Object) Metadata() (*metav1.ObjectMeta, error) {
	m := &metav1.ObjectMeta{}
	var err error
	if o.Encoding == Protobuf {
		err = m.Unmarshal(o.MetadataBytes())
	} else if text := o.MetadataBytes(); text != nil {
		err = json.Unmarshal(text, m)
	}
	if err != nil {
		return nil, fmt.Errorf("decoding metadata of %s/%s: %w", o.Namespace, o.Name, err)
	}
	return m, nil
}

// Envelope is what an answer says of itself.
type Envelope struct {
	// Kind is the kind of what the answer holds: that of the objects, of a list, or Status.
	Kind schema.GroupVersionKind
	// Encoding is that of Raw.
	Encoding Encoding
	// Raw is the message itself: in protobuf without the envelope.
	Raw []byte
}
