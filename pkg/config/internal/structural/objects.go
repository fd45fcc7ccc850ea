package structural

import (
	"fmt"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"k8s.io/apimachinery/pkg/util/json"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// The words of schemas that stand for more than values.
const (
	preserve    = "x-kubernetes-preserve-unknown-fields"
	intOrString = "x-kubernetes-int-or-string"
)

// structOf returns the schema of an object that is not a choice between several.
func (w *walker) structOf(v cue.Value, at diagnostic.Path) map[string]any {
	if !isChoice(v) {
		return w.object(v, at)
	}
	arms := alternatives(v)
	if len(arms) != 1 {
		w.refuse(v, at, "is one of several objects", "write one object with all of the fields, the optional ones with ?, and a rule in validations for what goes together")
		return nil
	}
	return w.object(arms[0], at)
}

// object returns the schema of an object.
func (w *walker) object(v cue.Value, at diagnostic.Path) map[string]any {
	schema := map[string]any{"type": "object"}
	if err := v.Err(); err != nil {
		w.broken(v, at, err)
		return nil
	}
	it, err := v.Fields(cue.Optional(true), cue.Patterns(true))
	if err != nil {
		w.broken(v, at, err)
		return nil
	}
	properties, required := map[string]any{}, []any{}
	var entries map[string]any
	for it.Next() {
		sel := it.Selector()
		if sel.ConstraintType()&cue.PatternConstraint == cue.PatternConstraint {
			entries = w.pattern(sel, it.Value(), at)
			continue
		}
		name := sel.Unquoted()
		if len(at) == 0 && !w.rootField(name, it.Value()) {
			continue
		}
		properties[name] = w.field(name, it.Value(), sel.ConstraintType(), at, &required)
		if properties[name] == nil {
			delete(properties, name)
		}
	}
	switch {
	case len(properties) > 0 && entries != nil:
		w.refuse(v, at, "has fields and is a map, too", "leave one of both out, or write ... for any further fields")
		return nil
	case entries != nil:
		schema["additionalProperties"] = entries
	case len(properties) > 0:
		schema["properties"] = properties
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	if hasEllipsis(v) {
		schema[preserve] = true
	}
	return schema
}

// rootField reports whether a field at the root of an object is one that the schema is about.
func (w *walker) rootField(name string, v cue.Value) bool {
	w.given = name != "status" && name != "metadata" // Those of a new object are written by others.
	if name == "apiVersion" || name == "kind" {
		w.refuse(v, diagnostic.Path{name}, "is there in every object", "leave it out")
		return false
	}
	return true
}

// field returns the schema of a field, with its default, and adds its name to those of required
// fields; nil after a mistake.
func (w *walker) field(name string, v cue.Value, constraint cue.SelectorType, at diagnostic.Path, required *[]any) any {
	before := len(w.problems)
	schema := w.value(v, at.With(name))
	if schema == nil || len(w.problems) > before {
		return nil
	}
	if text := describe(v); text != "" {
		schema["description"] = text
	}
	atRoot := !w.given && len(at) == 0
	value, whole := complete(v)
	switch {
	case constraint&cue.RequiredConstraint == cue.RequiredConstraint:
		*required = append(*required, name)
	case whole && hasDefault(v) && !atRoot:
		schema["default"] = value
	case constraint&cue.OptionalConstraint == cue.OptionalConstraint || !w.given:
	case whole:
		schema["default"] = value
	default:
		*required = append(*required, name)
	}
	return schema
}

// complete returns what a field comes to that nobody has given, or false when it must be given.
func complete(v cue.Value) (any, bool) {
	settled, _ := v.Default()
	if settled.IncompleteKind() == cue.TopKind || settled.Validate(cue.Concrete(true)) != nil {
		return nil, false
	}
	if settled.IncompleteKind() == cue.StructKind && !isChoice(v) {
		return map[string]any{}, true // The fields have defaults of their own.
	}
	text, err := settled.MarshalJSON()
	if err != nil {
		return nil, false
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil || value == nil {
		return nil, false
	}
	return value, true
}

// hasDefault reports whether a default is written, with *.
func hasDefault(v cue.Value) bool {
	_, has := v.Default()
	return has && isChoice(v)
}

// isChoice reports whether a value is a disjunction.
func isChoice(v cue.Value) bool {
	if v.IncompleteKind()&(cue.StructKind|cue.ListKind) == 0 {
		return true
	}
	for _, part := range parts(v) {
		if op, _ := part.Expr(); op == cue.OrOp {
			return true
		}
	}
	return false
}

// pattern returns the schema of the values of a map.
func (w *walker) pattern(sel cue.Selector, v cue.Value, at diagnostic.Path) map[string]any {
	names := sel.Pattern()
	if op, _ := names.Eval().Expr(); names.IncompleteKind() != cue.StringKind || op != cue.NoOp {
		w.refuse(names, at, "is a map with names of a certain form", "write [string], and a rule in validations for the names, such as self.all(name, name.startsWith('a'))")
		return nil
	}
	return w.value(v, at.With(diagnostic.EachStep))
}

// hasEllipsis reports whether an object is written with ...: other objects drop fields that they do
// not have.
func hasEllipsis(v cue.Value) bool {
	for _, part := range parts(v) {
		lit := literal(part)
		if lit == nil {
			continue
		}
		for _, elt := range lit.Elts {
			if _, ok := elt.(*ast.Ellipsis); ok {
				return true
			}
		}
	}
	return false
}

// The functions of CUE that bound objects and lists, and their words.
var (
	objectValidators = map[string]string{"struct.MinFields": "minProperties", "struct.MaxFields": "maxProperties"}
	listValidators   = map[string]string{"list.MinItems": "minItems", "list.MaxItems": "maxItems"}
)

// validators adds what functions say of an object or a list, and refuses other functions.
func (w *walker) validators(v cue.Value, at diagnostic.Path, schema map[string]any, known map[string]string) {
	for _, part := range parts(v) {
		op, args := part.Expr()
		if op != cue.CallOp || len(args) == 0 {
			continue
		}
		name := functionName(args[0])
		switch word := known[name]; {
		case word != "" && len(args) == 2:
			if n, ok := argument(w, v, args[1], at); ok {
				count(w, v, schema, word, n, at)
			}
		case name == "list.UniqueItems" && known["list.MinItems"] != "":
			schema["x-kubernetes-list-type"] = "set"
		case name == "close" || name == "and" || name == "or":
		default:
			w.refuse(v, at, fmt.Sprintf("the function %s has no place in a structural schema", name), "write a rule in validations")
		}
	}
}

// count sets a bound of a number of things, unless there is a narrower one; false after a mistake.
// One that everything meets is none.
func count(w *walker, v cue.Value, schema map[string]any, word string, bound any, at diagnostic.Path) bool {
	isMin := word[:3] == "min"
	n, fits := bound.(int64)
	high := fits && n >= 0 || !fits && float(bound) > 0
	switch {
	case isMin && !high, !isMin && high && !fits:
		return true
	case !high, !fits:
		w.refuse(v, at, fmt.Sprintf("no value can meet the bound %v", bound), "write a number from 0 to 9223372036854775807")
		return false
	}
	before, ok := schema[word].(int64)
	if narrower := isMin && n > before || !isMin && n < before; ok && !narrower {
		return true
	}
	schema[word] = n
	return true
}
