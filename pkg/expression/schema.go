package expression

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// OfSchema returns what is known of the objects of a custom kind by its schema: the JSON of an
// openAPIV3Schema, as CustomResourceDefinitions have it. Fields that it does not name are pruned by
// the API server, and are not there.
func OfSchema(kind schema.GroupVersionKind, openAPIV3Schema []byte) (Type, error) {
	var decoded map[string]any
	if err := json.Unmarshal(openAPIV3Schema, &decoded); err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", kind.Kind, err)
	}
	var r schemaReader
	n := r.schema(decoded)
	switch {
	case r.err != nil:
		return nil, fmt.Errorf("reading the schema of %s: %w", kind.Kind, r.err)
	case n == nil:
		n = new(schemaNode) // It is null.
	}
	return schemaType{schemaNode: n, name: schemaName(kind), object: true}, nil
}

// OfValue returns what is known of values by a part of a structural schema, as decoded JSON. Object
// is true for whole objects. The name is different for each part.
func OfValue(name string, object bool, schema map[string]any) (Type, error) {
	var r schemaReader
	n := r.schema(schema)
	if r.err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", name, r.err)
	}
	if object {
		return schemaType{schemaNode: n, name: name, object: true}, nil
	}
	return schemaType{name: name}.below(n, name), nil
}

// OfOpenAPI returns what a document of the OpenAPI v3 of an API server says of kinds, as far as it
// has them.
func OfOpenAPI(document []byte, kinds []schema.GroupVersionKind) (map[schema.GroupVersionKind]Type, error) {
	var decoded struct {
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &decoded); err != nil {
		return nil, fmt.Errorf("reading an OpenAPI document: %w", err)
	}
	var r schemaReader
	all := r.schemas(decoded.Components.Schemas)
	if r.err != nil {
		return nil, fmt.Errorf("reading an OpenAPI document: %w", r.err)
	}
	known := map[schema.GroupVersionKind]Type{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		n := all[name]
		for _, kind := range kinds {
			if n.isOf(kind) {
				known[kind] = schemaType{schemaNode: n, name: schemaName(kind), object: true, document: all}
			}
		}
	}
	return known, nil
}

func schemaName(kind schema.GroupVersionKind) string {
	return kind.GroupVersion().String() + "." + kind.Kind
}

// isOf reports whether this is the schema of a kind.
func (n *schemaNode) isOf(kind schema.GroupVersionKind) bool {
	return n != nil && slices.Contains(n.Kinds, kind)
}

// schemaType is what a schema says of values.
type schemaType struct {
	*schemaNode
	name     string // different for each part of each schema
	object   bool   // it has apiVersion, kind and metadata
	document map[string]*schemaNode
}

// definitions is where the references of a document lead to.
const definitions = "#/components/schemas/"

// below returns the type of a part of a schema; nil when that can be anything.
func (s schemaType) below(n *schemaNode, name string) Type {
	name = fmt.Sprintf("%s.%q", s.name, name) // Names have dots in them.
	if n.isAroundReference() {
		n = n.AllOf[0]
	}
	if n == nil {
		return nil
	}
	if n.Ref != "" {
		name = strings.TrimPrefix(n.Ref, definitions)
		if t := wellKnown(name); t != nil {
			return t
		}
		if n = s.document[name]; n == nil {
			return nil
		}
	}
	if n.Type == "" && !n.IntOrString && !n.EmbeddedResource && len(n.Properties) == 0 && n.AdditionalProperties == nil {
		return nil
	}
	return schemaType{schemaNode: n, name: name, object: n.EmbeddedResource, document: s.document}
}

// isAroundReference reports whether all that a schema says is in what it refers to.
func (n *schemaNode) isAroundReference() bool {
	return n != nil && n.Ref == "" && n.Type == "" && len(n.AllOf) == 1 && n.AllOf[0] != nil && n.AllOf[0].Ref != "" &&
		len(n.Properties) == 0 && !n.PreserveUnknownFields && !n.IntOrString
}

// wellKnown returns the type of what Kubernetes itself refers to and writes in JSON in its own way.
func wellKnown(name string) Type {
	switch {
	case strings.HasSuffix(name, ".meta.v1.ObjectMeta"):
		return OfGo[metav1.ObjectMeta]()
	case strings.HasSuffix(name, ".api.resource.Quantity"):
		return OfGo[resource.Quantity]()
	case strings.HasSuffix(name, ".util.intstr.IntOrString"):
		return OfGo[intstr.IntOrString]()
	}
	return nil
}

func (s schemaType) shape() shape {
	switch {
	case s.isIntOrString():
		return aValue
	case s.Type == "array":
		return aList
	case s.object, len(s.Properties) > 0:
		return aStruct
	case s.Type == "object" && s.isMap():
		return aMap
	case s.Type == "object":
		return aStruct
	default:
		return aValue
	}
}

func (s schemaType) isIntOrString() bool { return s.IntOrString || s.Format == "int-or-string" }

// isMap reports whether an object without properties is a map.
func (s schemaType) isMap() bool {
	return s.PreserveUnknownFields || s.AdditionalProperties != nil && !s.AdditionalProperties.forbidden || s.isUnsaid()
}

// isUnsaid reports whether the document of an API server has no word on the fields of an object,
// which may be any then: a RawExtension has such a schema, and so has a CustomResourceDefinition
// that keeps unknown fields.
func (s schemaType) isUnsaid() bool { return s.document != nil && len(s.Properties) == 0 }

func (s schemaType) field(name string) (Type, bool) {
	if s.object {
		switch name {
		case "apiVersion", "kind":
			return OfGo[string](), true
		case "metadata":
			return OfGo[metav1.ObjectMeta](), true
		}
	}
	if n, ok := s.Properties[name]; ok {
		return s.below(n, name), true
	}
	switch a := s.AdditionalProperties; {
	case a != nil && !a.forbidden:
		return s.below(a.of, "*"), true
	default:
		return nil, s.PreserveUnknownFields || s.isUnsaid()
	}
}

func (s schemaType) names() []string {
	all := slices.Collect(maps.Keys(s.Properties))
	if s.object {
		all = append(all, "apiVersion", "kind", "metadata")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s schemaType) elem() Type {
	switch {
	case s.Type == "array":
		return s.below(s.Items, "*")
	case s.AdditionalProperties != nil:
		return s.below(s.AdditionalProperties.of, "*")
	default:
		return nil
	}
}

func (s schemaType) scalar() string {
	switch {
	case s.isIntOrString():
		return aNumberOrString
	case s.Type == "string" && s.Format == "date-time":
		return aTime
	case s.Type == "number":
		return aNumber
	default:
		return ""
	}
}

func (s schemaType) id() string { return "schema." + s.name }

// plain takes a number that may have a fraction for dynamic, as it is decoded as an integer when
// the fraction is zero.
func (s schemaType) plain(all *objectTypes) *cel.Type {
	switch {
	case s.isIntOrString():
		all.seen = true
		return all.intOrString
	case s.Type == "string":
		return cel.StringType
	case s.Type == "boolean":
		return cel.BoolType
	case s.Type == "integer":
		return cel.IntType
	default:
		return cel.DynType
	}
}
