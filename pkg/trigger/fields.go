package trigger

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Step is one step of a path through a protobuf message: into the field of a number, or to one key of a map.
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

// Resolve follows a path through the fields of a Kubernetes API type, by the names of its JSON, and returns the way by the
// numbers of its protobuf. Both stand in the tags of the struct. A field that is in no message, as kind is, has no steps. The
// error is a *FieldError.
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

// find returns a field of a struct, or of one that is written inline, and the numbers on the way to it.
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

// number returns the number of a field's protobuf tag, as in "bytes,2,opt,name=spec", or nothing when it has none.
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
