package trigger

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Check returns what the expression reads of objects of a Go type that can never be there, once for each field. With top,
// the fields at the root of the type are all there are; else there may be others. What is read of the entries of a list is
// not looked at.
func (c *Condition) Check(known reflect.Type, top bool) Mistakes {
	var ms Mistakes
	told := map[string]bool{}
	for _, r := range c.reads {
		m := dropped(known, r)
		if m == nil {
			m = misread(known, top, r)
		}
		if m != nil && !told[m.Message] {
			told[m.Message] = true
			ms = append(ms, m)
		}
	}
	return ms
}

// dropped is a mistake where r is in what no cached object has.
func dropped(known reflect.Type, r read) *Mistake {
	switch {
	case len(r.path) >= 2 && r.path[0] == "metadata" && r.path[1] == "managedFields":
		return &Mistake{
			Offset:  r.offsets[1],
			Message: "metadata.managedFields is dropped when an object arrives: nothing is ever there",
			Hint:    "leave it out",
		}
	case len(r.path) >= 1 && r.path[0] == "stringData" && known == reflect.TypeFor[corev1.Secret]():
		return &Mistake{
			Offset:  r.offsets[0],
			Message: "stringData can only be written: nothing is ever there",
			Hint:    "the values are in data, in base64",
		}
	default:
		return nil
	}
}

// misread is a mistake where r cannot come to anything.
func misread(t reflect.Type, top bool, r read) *Mistake {
	key := 0 // the last name that is a key of a map
	for i, name := range r.path {
		t = follow(t)
		switch kind := shapeOf(t); {
		case kind == aMap:
			t, key = t.Elem(), i
		case kind == aStruct:
			f, _, ok := find(t, name)
			switch {
			case !ok && i == 0 && !top:
				return nil
			case !ok:
				return &Mistake{Offset: r.offsets[i], Message: fmt.Sprintf("there is no field %s", r.path[:i+1]), Unknown: name, Known: names(t)}
			}
			t = f.Type
		case !r.selected[i]: // An index into what may be anything.
			return nil
		case kind == aList:
			return &Mistake{
				Offset: r.offsets[i], Message: fmt.Sprintf("%s is a list and has no field %s", r.path[:i], name),
				Hint: fmt.Sprintf("ask its entries, as in %s.exists(x, x.%s == \"a\")", spelt(r.path[:i]), name),
			}
		default:
			if what := scalar(t); what != "" {
				hint := reading(t, spelt(r.path[:i]))
				if key > 0 && key == i-1 && !slices.Contains(r.selected[i:], false) {
					hint = "a key with dots in it stands in brackets, as in " + spelt(append(slices.Clone(r.path[:key]), strings.Join(r.path[key:], ".")))
				}
				return &Mistake{Offset: r.offsets[i], Message: fmt.Sprintf("%s is %s and has no field %s", r.path[:i], what, name), Hint: hint}
			}
			return nil
		}
	}
	return misused(follow(t), r)
}

// misused is a mistake where something is done with a value of a type that it cannot have.
func misused(t reflect.Type, r read) *Mistake {
	what, last := scalar(t), max(0, len(r.path)-1)
	switch {
	case len(r.path) == 0 && r.use.condition:
		return &Mistake{Message: "want true or false, have the whole object", Hint: exampleHint}
	case len(r.path) == 0:
		return nil
	case r.use.method != "" && what != "":
		return &Mistake{
			Offset: r.offsets[last], Message: fmt.Sprintf("%s is %s and has no function %s", r.path, what, r.use.method),
			Hint: reading(t, spelt(r.path)),
		}
	case r.use.condition && what != "" && what != aBool:
		return &Mistake{Offset: r.offsets[last], Message: fmt.Sprintf("want true or false, but %s is %s", r.path, strings.TrimSuffix(what, ",")), Hint: "compare it"}
	case r.use.condition && what == "" && shapeOf(t) != aValue:
		return &Mistake{
			Offset: r.offsets[last], Message: fmt.Sprintf("want true or false, but %s is %s", r.path, shapeOf(t)),
			Hint: fmt.Sprintf("write has(%s) to ask whether it is there", spelt(r.path)),
		}
	default:
		return nil
	}
}

// reading says how the parts of a point in time are read.
func reading(t reflect.Type, text string) string {
	if scalar(t) != aTime {
		return ""
	}
	return fmt.Sprintf("write it as in timestamp(%s).getFullYear()", text)
}

// spelt is a path as expressions write it.
func spelt(p Path) string {
	var b strings.Builder
	b.WriteString("object")
	for _, name := range p {
		if strings.ContainsFunc(name, func(r rune) bool { return !plain(r) || strings.ContainsRune("-/$", r) }) {
			fmt.Fprintf(&b, "[%q]", name)
			continue
		}
		b.WriteString("." + name)
	}
	return b.String()
}

// What a value in a decoded object is that is no object, map or list.
const (
	aString = "a string"
	aTime   = "a point in time, which is a string,"
	aNumber = "a number"
	aBool   = "true or false"
)

// scalar says what a value of a type is in a decoded object, or "" where that is open or may have parts.
func scalar(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime]():
		return aTime
	case reflect.TypeFor[metav1.Duration](), reflect.TypeFor[resource.Quantity]():
		return aString
	case reflect.TypeFor[intstr.IntOrString]():
		return "a number or a string"
	}
	if shapeOf(t) != aValue || marshals(t) {
		return ""
	}
	switch t.Kind() {
	case reflect.String, reflect.Slice: // Bytes are a string in base64.
		return aString
	case reflect.Bool:
		return aBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16,
		reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return aNumber
	default:
		return ""
	}
}
