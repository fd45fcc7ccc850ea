package expression

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// schemaNode is the part of an OpenAPI schema from which follows what a value is.
type schemaNode struct {
	Type                 string
	Format               string
	Properties           map[string]*schemaNode
	AdditionalProperties *additionalProperties
	Items                *schemaNode
	Ref                  string
	AllOf                []*schemaNode

	IntOrString           bool
	PreserveUnknownFields bool
	EmbeddedResource      bool

	Kinds []schema.GroupVersionKind
}

// additionalProperties is a schema, or true or false.
type additionalProperties struct {
	forbidden bool
	of        *schemaNode // nil: anything
}

// schemaReader makes schemas of decoded JSON. As additionalProperties is not always a schema, they
// cannot be decoded as one without reading what is within it again, at every level.
type schemaReader struct{ err error } // the first one

// schema returns nil for null.
func (r *schemaReader) schema(value any) *schemaNode {
	fields := readAs[map[string]any](r, value)
	if fields == nil {
		return nil
	}
	n := &schemaNode{
		Type:                  readAs[string](r, fields["type"]),
		Format:                readAs[string](r, fields["format"]),
		Properties:            r.schemas(fields["properties"]),
		Items:                 r.schema(fields["items"]),
		Ref:                   readAs[string](r, fields["$ref"]),
		IntOrString:           readAs[bool](r, fields["x-kubernetes-int-or-string"]),
		PreserveUnknownFields: readAs[bool](r, fields["x-kubernetes-preserve-unknown-fields"]),
		EmbeddedResource:      readAs[bool](r, fields["x-kubernetes-embedded-resource"]),
	}
	switch of := fields["additionalProperties"].(type) {
	case nil:
	case bool:
		n.AdditionalProperties = &additionalProperties{forbidden: !of}
	default:
		n.AdditionalProperties = &additionalProperties{of: r.schema(of)}
	}
	for _, one := range readAs[[]any](r, fields["allOf"]) {
		n.AllOf = append(n.AllOf, r.schema(one))
	}
	for _, one := range readAs[[]any](r, fields["x-kubernetes-group-version-kind"]) {
		kind := readAs[map[string]any](r, one)
		n.Kinds = append(n.Kinds, schema.GroupVersionKind{
			Group: readAs[string](r, kind["group"]), Version: readAs[string](r, kind["version"]), Kind: readAs[string](r, kind["kind"]),
		})
	}
	return n
}

// schemas returns those of a map.
func (r *schemaReader) schemas(value any) map[string]*schemaNode {
	all := map[string]*schemaNode{}
	for name, one := range readAs[map[string]any](r, value) {
		all[name] = r.schema(one)
	}
	return all
}

// readAs returns a value of a type. Null is its zero value, as is what is no such value and an
// error.
func readAs[T any](r *schemaReader, value any) T {
	read, ok := value.(T)
	if !ok && value != nil && r.err == nil {
		r.err = fmt.Errorf("it has %.60q, want %s", fmt.Sprint(value), jsonKind(read))
	}
	return read
}

// jsonKind says what values of a type are in JSON.
func jsonKind(value any) string {
	switch value.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "true or false"
	default:
		return "a number"
	}
}
