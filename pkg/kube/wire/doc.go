// Package wire takes apart what the API server sends without decoding it: a list into its objects,
// an object into the few fields that a cache needs and its encoding, without
// metadata.managedFields, of which a FieldManager keeps what one manager has applied. It makes no
// requests, and it knows no Go type of any kind: every kind of Kubernetes has its metadata in
// field 1 in protobuf and below "metadata" in JSON.
//
//	list, err := wire.ParseList(body) // of an answer in protobuf or JSON
//	for _, object := range list.Objects { fmt.Println(object.Namespace, object.Name, len(object.Data)) }
package wire
