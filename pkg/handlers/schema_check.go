package handlers

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
)

// checkSchema reports whether the schema compiles, keeps to the style that Plugin.Schema asks for,
// and has the same fields as the struct.
func checkSchema(source string, t reflect.Type) error {
	config, err := CompileSchema(cuecontext.New(), source)
	if err != nil {
		return err
	}
	return comparison{}.structs("#Config", config, t)
}

// comparison compares a schema with the Go type that its values are decoded into. It holds the
// structs that it is inside of, so that a recursive type is compared once.
type comparison map[reflect.Type]bool

func (c comparison) structs(path string, v cue.Value, t reflect.Type) error {
	c[t] = true
	defer delete(c, t)
	if v.Allows(cue.AnyString) {
		return fmt.Errorf("schema and struct differ: %s takes any field in the schema, %s only its own", path, t)
	}
	want := jsonFields(t)
	have, err := schemaFields(path, v)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		field, ok := want[name]
		if !ok {
			return fmt.Errorf("schema and struct differ: the schema has %s.%s, %s has no such JSON field", path, name, t)
		}
		if err := c.kinds(path+"."+name, have[name], field); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, ok := have[name]; !ok {
			return fmt.Errorf("schema and struct differ: %s has the JSON field %q, the schema has no %s.%s", t, name, path, name)
		}
	}
	return nil
}

// kinds compares one field of the schema with the Go type it is decoded into, and goes on inside
// structs, lists and maps.
func (c comparison) kinds(path string, v cue.Value, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if c[t] {
		return nil // CUE reports a structural cycle when it is asked for the kind of a recursive field
	}
	want, have := kindOf(t), v.IncompleteKind()
	if have == cue.BottomKind {
		return fmt.Errorf("compiling the schema: no value can meet %s: %w", path, v.Err())
	}
	if want != cue.TopKind && have&^want != 0 {
		return fmt.Errorf("schema and struct differ: %s is %s in the schema, %s in the struct", path, have, t)
	}
	switch {
	case want == cue.StructKind && t.Kind() == reflect.Struct:
		return c.structs(path, v, t)
	case want == cue.StructKind && t.Kind() == reflect.Map:
		if elem := v.LookupPath(cue.MakePath(cue.AnyString)); elem.Exists() {
			return c.kinds(path+"[string]", elem, t.Elem())
		}
	case want == cue.ListKind:
		if elem := v.LookupPath(cue.MakePath(cue.AnyIndex)); elem.Exists() {
			return c.kinds(path+"[]", elem, t.Elem())
		}
	}
	return nil
}

// schemaFields returns the fields of a struct in the schema. It refuses a field that is neither
// optional nor required, which no file could leave out nor be told to give, and one with a default,
// which would spoil the messages about it.
func schemaFields(path string, v cue.Value) (map[string]cue.Value, error) {
	it, err := v.Fields(cue.Optional(true))
	if err != nil {
		return nil, fmt.Errorf("reading the schema at %s: %w", path, err)
	}
	fields := map[string]cue.Value{}
	for it.Next() {
		name := it.Selector().Unquoted()
		if it.FieldType()&(cue.OptionalConstraint|cue.RequiredConstraint) == 0 {
			return nil, fmt.Errorf("reading the schema: %s.%s is neither optional (%s?) nor required (%s!)", path, name, name, name)
		}
		// Every open list has the default [], which says nothing about the author.
		if _, ok := it.Value().Default(); ok && it.Value().IncompleteKind() != cue.ListKind {
			return nil, fmt.Errorf("reading the schema: %s.%s has a default, which belongs into the plugin's Defaults", path, name)
		}
		fields[name] = it.Value()
	}
	return fields, nil
}

// kindOf returns the kind of JSON value that decodes into t: cue.TopKind when only t itself knows.
func kindOf(t reflect.Type) cue.Kind {
	switch {
	case implements[json.Unmarshaler](t):
		return cue.TopKind
	case implements[encoding.TextUnmarshaler](t):
		return cue.StringKind
	}
	switch t.Kind() {
	case reflect.Bool:
		return cue.BoolKind
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return cue.IntKind
	case reflect.Float32, reflect.Float64:
		return cue.NumberKind
	case reflect.String:
		return cue.StringKind
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return cue.StringKind // base64
		}
		return cue.ListKind
	case reflect.Array:
		return cue.ListKind
	case reflect.Struct, reflect.Map:
		return cue.StructKind
	default:
		return cue.TopKind
	}
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

// jsonFields returns the fields that encoding/json sees in a struct: those of embedded structs
// without a name of their own count as the struct's, and its own come first.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields, embedded := map[string]reflect.Type{}, []reflect.Type{}
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			embedded = append(embedded, inner)
		case !f.IsExported():
		case name == "":
			fields[f.Name] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	for _, inner := range embedded {
		for name, field := range jsonFields(inner) {
			if _, ok := fields[name]; !ok {
				fields[name] = field
			}
		}
	}
	return fields
}
