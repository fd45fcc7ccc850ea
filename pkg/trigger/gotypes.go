package trigger

import (
	"reflect"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// goTypes gives CEL's type check the types of the values that the Go types of the Kubernetes API
// have in decoded objects, which are those of their JSON. It is used by one check at a time.
type goTypes struct {
	types.Provider // of the types of CEL itself

	root  reflect.Type // of the object; nil: nothing is known
	whole bool         // the root has no fields but those of its Go type

	// intOrString is what an IntOrString is taken for, and seen reports whether there was one.
	intOrString *cel.Type
	seen        bool

	named map[string]reflect.Type // by the name of its CEL type
}

// rootType returns the type of object and oldObject.
func (g *goTypes) rootType() *cel.Type {
	if g.root == nil {
		return cel.DynType
	}
	return g.typeOf(g.root)
}

// typeOf returns the type of a decoded value. What may be anything is dynamic. So is a number with
// a fraction, which is decoded as an integer when the fraction is zero.
func (g *goTypes) typeOf(t reflect.Type) *cel.Type {
	t = follow(t)
	switch t {
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime](),
		reflect.TypeFor[metav1.Duration](), reflect.TypeFor[resource.Quantity]():
		return cel.StringType
	case reflect.TypeFor[intstr.IntOrString]():
		g.seen = true
		return g.intOrString
	}
	switch shapeOf(t) {
	case aStruct:
		name := t.PkgPath() + "." + t.Name()
		g.named[name] = t
		return cel.ObjectType(name)
	case aMap:
		return cel.MapType(cel.StringType, g.typeOf(t.Elem()))
	case aList:
		return cel.ListType(g.typeOf(t.Elem()))
	}
	if marshals(t) {
		return cel.DynType
	}
	switch t.Kind() {
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

// FindStructType finds a type that typeOf has named.
func (g *goTypes) FindStructType(name string) (*cel.Type, bool) {
	if _, ok := g.named[name]; ok {
		return types.NewTypeTypeWithParam(cel.ObjectType(name)), true
	}
	return g.Provider.FindStructType(name)
}

// FindStructFieldType finds a field by its name in JSON.
func (g *goTypes) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	t, ok := g.named[name]
	if !ok {
		return g.Provider.FindStructFieldType(name, field)
	}
	f, _, ok := find(t, field)
	switch {
	case ok:
		return &types.FieldType{Type: g.typeOf(f.Type)}, true
	case t == g.root && !g.whole:
		return &types.FieldType{Type: cel.DynType}, true
	default:
		return nil, false
	}
}
