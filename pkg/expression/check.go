package expression

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/google/cel-go/common/ast"
)

// dropped is a mistake where r is in what no cached object has. t is the type of the variable.
func dropped(t Type, r read) *Mistake {
	for i, name := range r.path {
		switch {
		case isObject(t) || t == nil && i == 0:
			return droppedOf(t, r.path[i:], r.offsets[i:])
		case t == nil || t.shape() != aStruct:
			return nil
		}
		t, _ = t.field(name)
	}
	return nil
}

// isObject reports whether a type is that of whole objects.
func isObject(t Type) bool {
	switch t := t.(type) {
	case goType:
		return t.root
	case schemaType:
		return t.object
	default:
		return false
	}
}

// droppedOf is dropped for a path in an object.
func droppedOf(object Type, p Path, offsets []int) *Mistake {
	switch {
	case len(p) >= 2 && p[0] == "metadata" && p[1] == "managedFields":
		return &Mistake{
			Offset:  offsets[1],
			Message: "metadata.managedFields is dropped when an object arrives: nothing is ever there",
			Hint:    "leave it out",
		}
	case p[0] == "stringData" && isSecret(object):
		return &Mistake{
			Offset:  offsets[0],
			Message: "stringData can only be written: nothing is ever there",
			Hint:    "the values are in data, in base64",
		}
	default:
		return nil
	}
}

// isSecret reports whether a type is that of Secrets.
func isSecret(t Type) bool {
	object, ok := t.(goType)
	return ok && object.t == reflect.TypeFor[corev1.Secret]()
}

// token is a run of characters around a place that has no blanks or operators in it, but for those
// that people forget to put into brackets.
type token struct {
	before    string // such as object.metadata.labels
	bracketed string // the name that should stand in brackets
	after     string
	end       int // in characters
}

func (t token) hint() string {
	return fmt.Sprintf("a name with such characters in it stands in brackets: %s[%q]%s", t.before, t.bracketed, t.after)
}

// chained is a name with a dash or a slash in it behind a variable, as in object.spec.my-field.
var chained = regexp.MustCompile(`^((\w+)(?:\.\w+)*?)\.((?:\w+[.])*\w*[-/][\w./-]*\w)$`)

// token returns the token at a place, whose bracketed is empty when there is none.
func (x reader) token(at int) token {
	inside := func(r rune) bool { return r == '_' || r < 128 && strings.ContainsRune("./-", r) || isWord(r) }
	start, end := at, at
	for start > 0 && inside(x.text[start-1]) {
		start--
	}
	for end < len(x.text) && inside(x.text[end]) {
		end++
	}
	match := chained.FindStringSubmatch(string(x.text[start:end]))
	if match == nil {
		return token{}
	}
	if !slices.Contains(x.variables, match[2]) {
		return x.ofMetadata(match[0], end)
	}
	before, name, after := match[1], match[3], ""
	for _, m := range []string{"labels", "annotations", "matchLabels", "nodeSelector"} {
		if of, key, ok := strings.Cut(match[0], "."+m+"."); ok {
			return token{before: of + "." + m, bracketed: key, end: end}
		}
	}
	if !strings.Contains(name, "/") { // A dash belongs to the name that it is in.
		parts := strings.Split(name, ".")
		first := slices.IndexFunc(parts, func(p string) bool { return strings.Contains(p, "-") })
		last := first + 1
		for _, p := range parts[:first] {
			before += "." + p
		}
		for _, p := range parts[last:] {
			after += "." + p
		}
		name = parts[first]
	}
	return token{before: before, bracketed: name, after: after, end: end}
}

// ofMetadata is a label or an annotation without the variable that it is of.
func (x reader) ofMetadata(text string, end int) token {
	of, key, _ := strings.Cut(strings.TrimPrefix(text, "metadata."), ".")
	if of != "labels" && of != "annotations" || !slices.Contains(x.variables, "object") {
		return token{}
	}
	return token{before: "object.metadata." + of, bracketed: key, end: end}
}

// once sorts mistakes by their places and leaves out what has been said already: the same of
// another place, or something else of the same place, and what follows from a name that should
// stand in brackets.
func (x reader) once(ms Mistakes) Mistakes {
	slices.SortStableFunc(ms, func(a, b *Mistake) int { return a.Offset - b.Offset })
	told := map[string]bool{}
	last, end := -1, -1
	return slices.DeleteFunc(ms, func(m *Mistake) bool {
		repeated := told[m.Message] && !strings.HasPrefix(m.Message, noName) || m.Offset < end || m.Offset == last
		told[m.Message], last = true, m.Offset
		if token := x.token(m.Offset); token.bracketed != "" && end <= m.Offset {
			m.Hint, m.Unknown, m.Known = token.hint(), "", nil
			end = token.end
		}
		return repeated
	})
}

func isWord(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// escaped are names as the rules of CRDs escape them.
var escaped = regexp.MustCompile(`^__\w+__$|__(dot|dash|slash|underscores)__`)

// escapes are mistakes where the name of a field is escaped, which the rules of CRDs want and this
// language does not.
func (x *explainer) escapes() Mistakes {
	var ms Mistakes
	for _, e := range x.written {
		operand, name := selection(e)
		if operand == nil || !escaped.MatchString(name) || isIndex(e) {
			continue
		}
		m := &Mistake{
			Offset:  x.place(e),
			Message: fmt.Sprintf("%s is the escape of a name, which only the rules in CRDs need: no field is called so", name),
			Hint:    fmt.Sprintf("write %s[%q]", x.text(operand), unescaped(name)),
		}
		if identifier.MatchString(unescaped(name)) && !slices.Contains(reserved, unescaped(name)) {
			m.Hint = fmt.Sprintf("write %s.%s", x.text(operand), unescaped(name))
		}
		ms = append(ms, m)
	}
	return ms
}

func isIndex(e ast.Expr) bool {
	_, ok := indexName(e.AsCall())
	return ok
}

var identifier = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// reserved are the names of fields that cannot follow a dot.
var reserved = []string{"in", "true", "false", "null"}

// unescaped returns the name that was escaped.
func unescaped(name string) string {
	name = strings.NewReplacer("__dot__", ".", "__dash__", "-", "__slash__", "/", "__underscores__", "__").Replace(name)
	if inner, ok := strings.CutPrefix(name, "__"); ok {
		if inner, ok = strings.CutSuffix(inner, "__"); ok && inner != "" {
			return inner
		}
	}
	return name
}

// reading says how the parts of a point in time are read.
func reading(t Type, text string) string {
	if t.scalar() != aTime {
		return ""
	}
	return fmt.Sprintf("write it as in timestamp(%s).getFullYear()", text)
}

// What a value in a decoded object is that is no object, map or list.
const (
	aString   = "a string"
	aTime     = "a point in time, which is a string,"
	aQuantity = "a quantity, which is a string,"
	aNumber   = "a number"
	aBool     = "true or false"

	aNumberOrString = "a number or a string"
)

// scalar says what a value of a type is in a decoded object, or "" where that is open or may have
// parts.
func scalar(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime]():
		return aTime
	case reflect.TypeFor[resource.Quantity]():
		return aQuantity
	case reflect.TypeFor[metav1.Duration]():
		return aString
	case reflect.TypeFor[intstr.IntOrString]():
		return aNumberOrString
	}
	return ""
}
