package structural

import (
	"maps"
	"reflect"
	"slices"

	"cuelang.org/go/cue"
	"k8s.io/apimachinery/pkg/util/json"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// scalar returns the schema of a value without parts; null is no kind of it any more.
func (w *walker) scalar(v cue.Value, kind cue.Kind, nullable bool, at diagnostic.Path) map[string]any {
	schema := map[string]any{}
	isBoth := kind == cue.IntKind|cue.StringKind
	switch {
	case kind == cue.StringKind:
		schema["type"] = "string"
	case kind == cue.BytesKind:
		schema["type"], schema["format"] = "string", "byte"
	case kind == cue.BoolKind:
		schema["type"] = "boolean"
	case kind == cue.IntKind:
		schema["type"] = "integer"
	case kind&^cue.NumberKind == 0:
		schema["type"] = "number"
	case isBoth:
		schema[intOrString] = true
		schema["anyOf"] = []any{map[string]any{"type": "integer"}, map[string]any{"type": "string"}}
	default:
		w.refuse(v, at, "can be "+kindNames(kind), "a field has one type, or is int | string; write _ for a value that can be anything")
		return nil
	}
	arms := alternatives(v)
	if len(arms) == 0 {
		w.refuse(v, at, "has no value", "")
		return nil
	}
	if enum, ok := enumOf(arms); ok {
		if schema["type"] == "boolean" && len(enum) == 2 {
			return schema
		}
		if nullable {
			enum = append(enum, nil)
		}
		if isBoth {
			w.refuse(v, at, "is one of integers and strings", "write values of one type, or int | string")
			return nil
		}
		schema["enum"] = enum
		return schema
	}
	said := w.alternatives(v, arms, at)
	if said == nil {
		return nil
	}
	if isBoth {
		return w.intOrString(v, said, schema, at)
	}
	switch {
	case len(said) == 1:
		maps.Copy(schema, said[0])
		numberFormat(schema)
	case !slices.ContainsFunc(said, func(s map[string]any) bool { return len(s) == 0 }):
		all := make([]any, len(said))
		for i, s := range said {
			all[i] = s
		}
		schema["anyOf"] = all
	}
	return schema
}

// alternatives returns the arms of a disjunction but null, or the value alone.
func alternatives(v cue.Value) []cue.Value {
	evaluated := v.Eval()
	op, args := evaluated.Expr()
	switch {
	case op == cue.NoOp && len(args) == 1 && args[0] != evaluated && args[0] != v:
		return alternatives(args[0]) // A default is one of the values that another arm has.
	case op != cue.OrOp:
		return []cue.Value{evaluated}
	}
	var arms []cue.Value
	for _, arg := range args {
		for _, arm := range alternatives(arg) {
			if arm.IncompleteKind() != cue.NullKind {
				arms = append(arms, arm)
			}
		}
	}
	return arms
}

// enumOf returns the values of a disjunction that has only values.
func enumOf(arms []cue.Value) ([]any, bool) {
	var enum []any
	for _, arm := range arms {
		value, ok := concrete(arm)
		if !ok {
			return nil, false
		}
		if !slices.ContainsFunc(enum, func(v any) bool { return reflect.DeepEqual(v, value) }) {
			enum = append(enum, value)
		}
	}
	return enum, true
}

// concrete returns a value as decoded JSON, or false if it is none yet.
func concrete(v cue.Value) (any, bool) {
	if !v.IsConcrete() {
		return nil, false
	}
	text, err := v.MarshalJSON()
	if err != nil {
		return nil, false
	}
	var value any
	return value, json.Unmarshal(text, &value) == nil
}

// alternatives returns what each arm says; nil after a mistake. Values among them are one arm.
func (w *walker) alternatives(v cue.Value, arms []cue.Value, at diagnostic.Path) []map[string]any {
	var said []map[string]any
	var enum []any
	for _, arm := range arms {
		if value, ok := concrete(arm); ok {
			enum = append(enum, value)
			continue
		}
		s := map[string]any{}
		if !w.constraint(v, arm, s, at) {
			return nil
		}
		said = append(said, s)
	}
	if len(enum) > 0 {
		said = append([]map[string]any{{"enum": enum}}, said...)
	}
	return said
}

// intOrString returns the schema of an integer or a string, of which the strings may be bounded.
func (w *walker) intOrString(v cue.Value, said []map[string]any, schema map[string]any, at diagnostic.Path) map[string]any {
	for _, s := range said {
		for word, value := range s {
			if _, twice := schema[word]; twice || word == "enum" || word == "not" {
				w.refuse(v, at, "bounds integers and strings in a way that a structural schema cannot", "write int | string, and a rule in validations")
				return nil
			}
			schema[word] = value
		}
	}
	return schema
}

// constraint adds what one arm says; false after a mistake.
func (w *walker) constraint(v, arm cue.Value, s map[string]any, at diagnostic.Path) bool {
	op, args := arm.Expr()
	switch op {
	case cue.NoOp:
		if err := arm.Err(); err != nil {
			w.broken(v, at, err)
			return false
		}
		return true
	case cue.AndOp:
		for _, arg := range args {
			if !w.constraint(v, arg.Eval(), s, at) {
				return false
			}
		}
		return true
	case cue.CallOp:
		return w.call(v, args, s, at)
	}
	if len(args) != 1 {
		w.refuse(v, at, "has no value before other fields have", ruleHint)
		return false
	}
	bound, ok := concrete(args[0].Eval())
	if !ok {
		w.refuse(v, at, "is bounded by another field", ruleHint)
		return false
	}
	return w.bound(v, op, bound, s, at)
}

const ruleHint = "write the type alone, and a rule in validations for what goes together"
