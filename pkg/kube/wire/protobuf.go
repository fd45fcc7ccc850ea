package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Numbers of fields, as the generated.proto files of k8s.io/apimachinery have them. Their comments
// promise that they stay.
const (
	unknownTypeMeta    = 1 // of runtime.Unknown, the envelope
	unknownRaw         = 2
	typeMetaAPIVersion = 1
	typeMetaKind       = 2

	objectMetadata = 1 // of every kind
	listMetadata   = 1 // of every list
	listItems      = 2

	metaName            = 1 // of ObjectMeta
	metaNamespace       = 3
	metaUID             = 5
	metaResourceVersion = 6
	metaLabels          = 11
	metaOwnerReferences = 13
	metaManagedFields   = 17

	eventType    = 1 // of metav1.WatchEvent
	eventObject  = 2
	extensionRaw = 1 // of runtime.RawExtension
)

// protobufPrefix begins every answer in protobuf (apimachinery, runtime/serializer/protobuf).
var protobufPrefix = []byte{'k', '8', 's', 0}

var errTruncated = errors.New("the message is cut off or damaged")

// parseProtobufEnvelope reads the envelope around a message, which is not copied.
func parseProtobufEnvelope(data []byte) (Envelope, error) {
	var apiVersion, kind string
	e := Envelope{Encoding: Protobuf}
	err := eachField(data[len(protobufPrefix):], func(number protowire.Number, value, _ []byte) error {
		switch number {
		case unknownTypeMeta:
			return eachField(value, func(number protowire.Number, value, _ []byte) error {
				switch number {
				case typeMetaAPIVersion:
					apiVersion = string(value)
				case typeMetaKind:
					kind = string(value)
				}
				return nil
			})
		case unknownRaw:
			e.Raw = value
		}
		return nil
	})
	if err != nil {
		return Envelope{}, fmt.Errorf("reading the protobuf envelope: %w", err)
	}
	e.Kind = schema.FromAPIVersionAndKind(apiVersion, kind)
	return e, nil
}

// eachField calls visit with every field of a message: its number, its value if it has a length,
// and all its bytes.
func eachField(message []byte, visit func(number protowire.Number, value, whole []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errTruncated
		}
		m := protowire.ConsumeFieldValue(number, kind, message[n:])
		if m < 0 {
			return errTruncated
		}
		var value []byte
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(message[n:])
		}
		if err := visit(number, value, message[:n+m]); err != nil {
			return err
		}
		message = message[n+m:]
	}
	return nil
}

// protobufList takes a list apart.
func protobufList(message []byte, m *FieldManager) (List, error) {
	var list List
	whole := false // Metadata is always written, even if it is empty.
	err := eachField(message, func(number protowire.Number, value, _ []byte) error {
		switch number {
		case listMetadata:
			whole = true
			var meta metav1.ListMeta
			if err := meta.Unmarshal(value); err != nil {
				return err
			}
			list.ListMeta = meta
		case listItems:
			object, err := protobufObject(value, m)
			if err != nil {
				return err
			}
			list.add(object, m)
		}
		return nil
	})
	if err == nil && !whole {
		err = errTruncated
	}
	if err != nil {
		return List{}, fmt.Errorf("reading a list: %w", err)
	}
	return list, nil
}

// protobufObject copies an object without its managedFields, of which m notes what it keeps.
func protobufObject(message []byte, m *FieldManager) (Object, error) {
	m.begin()
	o := Object{Encoding: Protobuf}
	var metadata []byte
	rest := 0 // bytes of all other fields
	err := eachField(message, func(number protowire.Number, value, whole []byte) error {
		if number == objectMetadata {
			metadata = value
		} else {
			rest += len(whole)
		}
		return nil
	})
	if err != nil {
		return Object{}, fmt.Errorf("reading an object: %w", err)
	}
	managedFields, err := o.readMeta(metadata, m)
	if err != nil {
		return Object{}, fmt.Errorf("reading metadata: %w", err)
	}
	o.build(message, metadata, len(metadata)-managedFields, rest)
	if m != nil {
		o.markOwners(m.owners)
	}
	return o, nil
}

// readMeta takes what the cache needs from the metadata and returns how many bytes managedFields
// have.
func (o *Object) readMeta(metadata []byte, m *FieldManager) (managedFields int, err error) {
	err = eachField(metadata, func(number protowire.Number, value, whole []byte) error {
		switch number {
		case metaName:
			o.Name = string(value)
		case metaNamespace:
			o.Namespace = string(value)
		case metaUID:
			o.UID = types.UID(value)
		case metaResourceVersion:
			o.ResourceVersion = string(value)
		case metaManagedFields:
			managedFields += len(whole)
			m.readProtobuf(value)
		}
		return nil
	})
	return managedFields, err
}

// build writes Data: the metadata without managedFields, which has size bytes, then everything else
// as it was, which has rest bytes. The fields have been read before without an error.
func (o *Object) build(message, metadata []byte, size, rest int) {
	header := protowire.SizeTag(objectMetadata) + protowire.SizeVarint(uint64(size))
	data := make([]byte, 0, header+size+rest)
	data = protowire.AppendTag(data, objectMetadata, protowire.BytesType)
	data = protowire.AppendVarint(data, uint64(size))
	o.metaStart, o.metaEnd = uint32(header), uint32(header+size)
	_ = eachField(metadata, func(number protowire.Number, _, whole []byte) error {
		if number != metaManagedFields {
			data = append(data, whole...)
		}
		return nil
	})
	_ = eachField(message, func(number protowire.Number, _, whole []byte) error {
		if number != objectMetadata {
			data = append(data, whole...)
		}
		return nil
	})
	o.Data = data
}

// protobufLabels reads the labels out of metadata that has been read before without an error.
func protobufLabels(metadata []byte) map[string]string {
	var labels map[string]string
	_ = eachField(metadata, func(number protowire.Number, value, _ []byte) error {
		if number != metaLabels {
			return nil
		}
		var key, text string
		err := eachField(value, func(number protowire.Number, value, _ []byte) error {
			switch number {
			case mapKey:
				key = string(value)
			case mapValue:
				text = string(value)
			}
			return nil
		})
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = text
		return err
	})
	return labels
}
