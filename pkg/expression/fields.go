package expression

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// Fields are fields of one kind, by their names in JSON and by their numbers in protobuf. They must
// not be changed.
type Fields struct {
	// Paths lead to the fields. An empty one is the whole object.
	Paths []Path
	// Steps are ways through the protobuf messages of the kind, one for each path. Nil: client-go
	// does not know the kind, and it has no protobuf.
	Steps [][]Step
}

// Texts returns the paths as ParsePath reads them.
func (f *Fields) Texts() []string {
	if f == nil {
		return nil
	}
	texts := make([]string, len(f.Paths))
	for i, p := range f.Paths {
		texts[i] = p.String()
	}
	return texts
}

// FieldsAt returns the fields at the end of paths. For a kind that client-go knows, a path that
// leads nowhere is an error.
func FieldsAt(kind schema.GroupVersionKind, paths []Path) (*Fields, error) {
	known, ok := KnownType(kind)
	if !ok {
		return &Fields{Paths: paths}, nil
	}
	f := &Fields{Paths: paths, Steps: [][]Step{}}
	for _, p := range paths {
		steps, err := Resolve(known, p)
		if err != nil {
			return nil, fmt.Errorf("finding %s in %s: %w", p, kind.Kind, err)
		}
		f.Steps = append(f.Steps, steps)
	}
	return f, nil
}

// FieldsAround returns fields that contain the ends of paths. In JSON these are the paths. A name
// that a kind does not have is no field in protobuf, and a map without entries is no map there: the
// steps end before such a name, and before the key of a map, since an expression can ask whether
// the map is there.
func FieldsAround(kind schema.GroupVersionKind, paths []Path) *Fields {
	known, ok := KnownType(kind)
	if !ok {
		return &Fields{Paths: paths}
	}
	f := &Fields{Paths: paths, Steps: [][]Step{}}
	for _, p := range paths {
		f.Steps = append(f.Steps, longest(known, p))
	}
	return f
}

// longest returns the steps to a field, or to the field around what is none.
func longest(known reflect.Type, p Path) []Step {
	for ; len(p) > 0; p = p[:len(p)-1] {
		steps, err := Resolve(known, p)
		if err != nil {
			continue
		}
		for len(steps) > 0 && steps[len(steps)-1].Number == 0 { // a key of a map
			steps = steps[:len(steps)-1]
		}
		return steps
	}
	return nil
}

// KnownType returns the Go type of a kind. Of a custom kind only the metadata is known, and the
// type is not whole.
func KnownType(kind schema.GroupVersionKind) (known reflect.Type, whole bool) {
	if known, ok := scheme.Scheme.KnownTypes(kind.GroupVersion())[kind.Kind]; ok {
		return known, true
	}
	return reflect.TypeFor[metav1.PartialObjectMetadata](), false
}

// Step is one step of a path through a protobuf message: into the field of a number, or to one key
// of a map.
type Step struct {
	// Number is that of a field.
	Number int32
	// Key is a key of the map that the field before is. Number is 0 then.
	Key string
}

// FieldError is a path that leads nowhere in a Go type.
type FieldError struct {
	// Index is that of the name in the path which leads nowhere.
	Index int
	// Message says why, and Hint what would be right, when that is known.
	Message, Hint string
	// Known are the names of the fields that are there instead, sorted.
	Known []string
}

// Error returns the message.
func (e *FieldError) Error() string { return e.Message }

// Resolve follows a path through the fields of a Kubernetes API type, by the names of its JSON, and
// returns the way by the numbers of its protobuf. Both stand in the tags of the struct. A field
// that is in no message, as kind is, has no steps. The error is a *FieldError.
func Resolve(t reflect.Type, p Path) ([]Step, error) {
	var steps []Step
	for i, name := range p {
		t = follow(t)
		switch kind := shapeOf(t); kind {
		case aMap:
			if i < len(p)-1 {
				return nil, &FieldError{Index: i + 1, Message: fmt.Sprintf("%s is a value of a map, which is compared as a whole", p[:i+1]),
					Hint: fmt.Sprintf("did you mean %s?", append(slices.Clone(p[:i]), strings.Join(p[i:], ".")))}
			}
			steps = append(steps, Step{Key: name})
			t = t.Elem()
		case aStruct:
			f, numbers, ok := find(t, name)
			if !ok {
				return nil, &FieldError{Index: i, Message: fmt.Sprintf("there is no field %s", p[:i+1]), Known: names(t)}
			}
			for _, n := range numbers {
				steps = append(steps, Step{Number: n})
			}
			t = f.Type
		default:
			return nil, &FieldError{Index: i, Message: fmt.Sprintf("%s is %s, which is compared as a whole", p[:i], kind), Hint: whole(p[:i])}
		}
	}
	return steps, nil
}

// Find follows a path through what is known of a value, as Resolve does. The error is a
// *FieldError.
func Find(of Type, p Path) error {
	for i, name := range p {
		if of == nil {
			return nil
		}
		switch shape := of.shape(); {
		case shape == aMap && i < len(p)-1 && of.elem() != nil:
			return &FieldError{Index: i + 1, Message: fmt.Sprintf("%s is a value of a map, which is compared as a whole", p[:i+1]),
				Hint: fmt.Sprintf("did you mean %s?", append(slices.Clone(p[:i]), strings.Join(p[i:], ".")))}
		case shape == aMap:
			of = of.elem()
		case shape == aStruct:
			t, ok := of.field(name)
			if !ok {
				return &FieldError{Index: i, Message: fmt.Sprintf("there is no field %s", p[:i+1]), Known: of.names()}
			}
			of = t
		default:
			return &FieldError{Index: i, Message: fmt.Sprintf("%s is %s, which is compared as a whole", p[:i], shape), Hint: whole(p[:i])}
		}
	}
	return nil
}

func whole(p Path) string { return fmt.Sprintf("did you mean %q?", p) }

// shape is what a field is, as far as paths can lead into it.
type shape string

const (
	aStruct shape = "an object"
	aMap    shape = "a map"
	aList   shape = "a list"
	aValue  shape = "a single value"
)

func shapeOf(t reflect.Type) shape {
	switch {
	case marshals(t):
		return aValue // its JSON is not that of its fields
	case t.Kind() == reflect.Struct:
		return aStruct
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		return aMap
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return aList
	default:
		return aValue
	}
}

// MarshalsItself reports whether a Go type has a JSON of its own, so that it is a single value
// whatever its fields are.
func MarshalsItself(t reflect.Type) bool { return marshals(t) }

func marshals(t reflect.Type) bool {
	marshaler := reflect.TypeFor[json.Marshaler]()
	return t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)
}

// follow returns what pointers point at.
func follow(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// find returns a field of a struct, or of one that is written inline, and the numbers on the way to
// it.
func find(t reflect.Type, name string) (reflect.StructField, []int32, bool) {
	for f := range t.Fields() {
		jsonName, inline := jsonTag(f)
		if jsonName == name && !inline {
			return f, number(f), true
		}
		if inline && shapeOf(follow(f.Type)) == aStruct {
			found, numbers, ok := find(follow(f.Type), name)
			switch outer := number(f); {
			case ok && outer == nil: // Apart from the message, in its envelope, as apiVersion and kind are.
				return found, nil, true
			case ok:
				return found, append(outer, numbers...), true
			}
		}
	}
	return reflect.StructField{}, nil, false
}

// names returns the names of all fields of a struct.
func names(t reflect.Type) []string {
	var all []string
	for f := range t.Fields() {
		name, inline := jsonTag(f)
		switch {
		case inline && shapeOf(follow(f.Type)) == aStruct:
			all = append(all, names(follow(f.Type))...)
		case name != "":
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func jsonTag(f reflect.StructField) (name string, inline bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return "", false
	}
	return name, strings.Contains(options, "inline") || name == "" && f.Anonymous
}

// number returns the number of a field's protobuf tag, as in "bytes,2,opt,name=spec", or nothing
// when it has none.
func number(f reflect.StructField) []int32 {
	parts := strings.Split(f.Tag.Get("protobuf"), ",")
	if len(parts) < 2 {
		return nil
	}
	n, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return nil
	}
	return []int32{int32(n)}
}
