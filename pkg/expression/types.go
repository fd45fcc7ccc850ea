package expression

import (
	"reflect"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Type is what is known of a value in decoded objects, whose parts are those of its JSON. Nil is
// the type of a value of which nothing is known. OfKind, OfSchema, OfOpenAPI, OfGo, Record and
// ListOf make types.
type Type interface {
	// shape is what the value is, as far as paths can lead into it.
	shape() shape
	// field returns the type of a field of an object, or false when there is none.
	field(name string) (Type, bool)
	// names are those of all fields of an object, sorted.
	names() []string
	// elem returns the type of the entries of a list, or of the values of a map.
	elem() Type
	// scalar says what a value without parts is, where the type that it has in CEL does not.
	scalar() string
	// id is different for different types of objects.
	id() string
	// plain returns the CEL type of a value without parts.
	plain(all *objectTypes) *cel.Type
}

// OfKind returns what is known of objects of a kind: everything of a kind of Kubernetes itself, and
// the metadata of any other.
func OfKind(kind schema.GroupVersionKind) Type {
	known, whole := KnownType(kind)
	return goType{t: known, root: true, open: !whole}
}

// goType is a Go type of the Kubernetes API, which has no pointers around it.
type goType struct {
	t    reflect.Type
	root bool // of whole objects
	open bool // there may be fields that the Go type does not have
}

// OfGo returns what is known of the JSON of a Go type of the Kubernetes API, or of a plain one.
func OfGo[T any]() Type { return typeOfGo(reflect.TypeFor[T]()) }

// typeOfGo returns the Type of what pointers of a Go type point at.
func typeOfGo(t reflect.Type) Type { return goType{t: follow(t)} }

func (g goType) shape() shape { return shapeOf(g.t) }

func (g goType) field(name string) (Type, bool) {
	f, _, ok := find(g.t, name)
	if !ok {
		return nil, g.open
	}
	return typeOfGo(f.Type), true
}

func (g goType) names() []string { return names(g.t) }

func (g goType) elem() Type { return typeOfGo(g.t.Elem()) }

func (g goType) scalar() string { return scalar(g.t) }

func (g goType) id() string { return g.t.PkgPath() + "." + g.t.Name() }

// plain takes what may be anything for dynamic. So is a number with a fraction, which is decoded as
// an integer when the fraction is zero.
func (g goType) plain(all *objectTypes) *cel.Type {
	switch g.t {
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime](),
		reflect.TypeFor[metav1.Duration](), reflect.TypeFor[resource.Quantity]():
		return cel.StringType
	case reflect.TypeFor[intstr.IntOrString]():
		all.seen = true
		return all.intOrString
	}
	if marshals(g.t) {
		return cel.DynType
	}
	switch g.t.Kind() {
	case reflect.String, reflect.Slice: // Bytes are a string in base64.
		return cel.StringType
	case reflect.Bool:
		return cel.BoolType
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return cel.IntType
	default:
		return cel.DynType
	}
}

// Record returns the type of an object with just these fields. name is different for each.
func Record(name string, fields map[string]Type) Type { return record{name: name, fields: fields} }

type record struct {
	name   string
	fields map[string]Type
}

func (r record) shape() shape { return aStruct }

func (r record) field(name string) (Type, bool) {
	t, ok := r.fields[name]
	return t, ok
}

func (r record) names() []string {
	all := make([]string, 0, len(r.fields))
	for name := range r.fields {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func (record) elem() Type                   { return nil }
func (record) scalar() string               { return "" }
func (r record) id() string                 { return "record." + r.name }
func (record) plain(*objectTypes) *cel.Type { return cel.DynType }

// ListOf returns the type of lists with entries of a type.
func ListOf(entry Type) Type { return list{entry: entry} }

type list struct{ entry Type }

func (list) shape() shape                 { return aList }
func (list) field(string) (Type, bool)    { return nil, false }
func (list) names() []string              { return nil }
func (l list) elem() Type                 { return l.entry }
func (list) scalar() string               { return "" }
func (list) id() string                   { return "" }
func (list) plain(*objectTypes) *cel.Type { return cel.DynType }

// objectTypes gives CEL's type check the types of what the variables of an expression are. It is
// used by one check at a time.
type objectTypes struct {
	types.Provider // of the types of CEL itself

	// intOrString is what an IntOrString is taken for, and seen reports whether there was one.
	intOrString *cel.Type
	seen        bool

	named map[string]Type // by the name of its CEL type
	depth int             // of lists and maps in each other
}

// deepest is how far lists and maps may be in each other. A schema that refers to itself has no
// end.
const deepest = 16

// typeOf returns the CEL type of values of a type.
func (o *objectTypes) typeOf(t Type) *cel.Type {
	if t == nil || o.depth > deepest {
		return cel.DynType
	}
	o.depth++
	defer func() { o.depth-- }()
	switch t.shape() {
	case aStruct:
		o.named[t.id()] = t
		return cel.ObjectType(t.id())
	case aMap:
		return cel.MapType(cel.StringType, o.typeOf(t.elem()))
	case aList:
		return cel.ListType(o.typeOf(t.elem()))
	default:
		return t.plain(o)
	}
}

// FindStructType finds a type that typeOf has named.
func (o *objectTypes) FindStructType(name string) (*cel.Type, bool) {
	if _, ok := o.named[name]; ok {
		return types.NewTypeTypeWithParam(cel.ObjectType(name)), true
	}
	return o.Provider.FindStructType(name)
}

// FindStructFieldType finds a field by its name in JSON.
func (o *objectTypes) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	t, ok := o.named[name]
	if !ok {
		return o.Provider.FindStructFieldType(name, field)
	}
	f, ok := t.field(field)
	if !ok {
		return nil, false
	}
	return &types.FieldType{Type: o.typeOf(f)}, true
}
