package wire

import (
	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Fields of metav1.OwnerReference.
const (
	ownerKind               = 1
	ownerName               = 3
	ownerUID                = 4
	ownerAPIVersion         = 5
	ownerController         = 6
	ownerBlockOwnerDeletion = 7
)

// Owners decodes the owner references alone. They are asked for with every change of a child.
// What cannot be read of them is left out.
func (o *Object) Owners() []metav1.OwnerReference {
	if o.Encoding == Protobuf {
		return protobufOwners(o.MetadataBytes())
	}
	return jsonOwners(o.MetadataBytes())
}

func protobufOwners(metadata []byte) []metav1.OwnerReference {
	var owners []metav1.OwnerReference
	eachProtobufOwner(metadata, func(owner []byte) { owners = append(owners, protobufOwner(owner)) })
	return owners
}

func eachProtobufOwner(metadata []byte, visit func(owner []byte)) {
	_ = eachField(metadata, func(number protowire.Number, value, _ []byte) error {
		if number == metaOwnerReferences {
			visit(value)
		}
		return nil
	})
}

func protobufOwner(message []byte) metav1.OwnerReference {
	var owner metav1.OwnerReference
	_ = eachField(message, func(number protowire.Number, value, whole []byte) error {
		switch number {
		case ownerKind:
			owner.Kind = string(value)
		case ownerName:
			owner.Name = string(value)
		case ownerUID:
			owner.UID = types.UID(value)
		case ownerAPIVersion:
			owner.APIVersion = string(value)
		case ownerController:
			owner.Controller = protobufBool(whole)
		case ownerBlockOwnerDeletion:
			owner.BlockOwnerDeletion = protobufBool(whole)
		}
		return nil
	})
	return owner
}

// protobufBool reads the value of a whole field, nil when it is no number.
func protobufBool(field []byte) *bool {
	_, kind, n := protowire.ConsumeTag(field)
	if kind != protowire.VarintType {
		return nil
	}
	number, _ := protowire.ConsumeVarint(field[n:])
	value := protowire.DecodeBool(number)
	return &value
}

func jsonOwners(metadata []byte) []metav1.OwnerReference {
	var owners []metav1.OwnerReference
	eachJSONOwner(metadata, func(owner []byte) { owners = append(owners, jsonOwner(owner)) })
	return owners
}

func eachJSONOwner(metadata []byte, visit func(owner []byte)) {
	if len(metadata) == 0 {
		return
	}
	var found []byte
	s := &scanner{text: metadata}
	s.members(func(name, value []byte) {
		if string(name) == `"ownerReferences"` {
			found = value
		}
	})
	if len(found) == 0 || found[0] != '[' {
		return
	}
	each := &scanner{text: found}
	each.elements(func(value []byte) {
		if value[0] == '{' {
			visit(value)
		}
	})
}

func jsonOwner(object []byte) metav1.OwnerReference {
	var owner metav1.OwnerReference
	s := &scanner{text: object}
	s.members(func(name, value []byte) {
		switch string(name) {
		case `"kind"`:
			owner.Kind = text(value)
		case `"name"`:
			owner.Name = text(value)
		case `"uid"`:
			owner.UID = types.UID(text(value))
		case `"apiVersion"`:
			owner.APIVersion = text(value)
		case `"controller"`:
			owner.Controller = jsonBool(value)
		case `"blockOwnerDeletion"`:
			owner.BlockOwnerDeletion = jsonBool(value)
		}
	})
	return owner
}

// jsonBool returns nil for anything but true and false.
func jsonBool(value []byte) *bool {
	is := string(value) == "true"
	if !is && string(value) != "false" {
		return nil
	}
	return &is
}
