package structural

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// Problem is what of a CUE value has no place in a structural schema.
type Problem struct {
	// Path leads from the root of the schema to the field.
	Path diagnostic.Path
	// Positions are where that may stand, the best first.
	Positions []token.Pos
	// Message says what is wrong, and Hint what would be right, when that is known.
	Message, Hint string
}

// Places are where the parts of a schema may stand, by the keys of their paths.
type Places map[string][]token.Pos

// Of returns the schema of whole objects: v has what stands beside apiVersion, kind and metadata.
// base is the path of v in its document.
func Of(v cue.Value, base diagnostic.Path) (map[string]any, Places, []Problem) {
	w := &walker{places: Places{}, base: base}
	switch kind := v.IncompleteKind(); {
	case kind == cue.BottomKind && v.Err() != nil:
		w.broken(v, nil, v.Err())
		return nil, nil, w.problems
	case kind != cue.StructKind:
		w.refuse(v, nil, "want an object with fields such as spec and status", "")
		return nil, nil, w.problems
	}
	schema := w.structOf(v, nil)
	if schema != nil && describe(v) != "" {
		schema["description"] = describe(v)
	}
	return schema, w.places, w.problems
}

// walker goes through one schema.
type walker struct {
	problems []Problem
	places   Places
	base     diagnostic.Path
	around   []shape // those of the values around this one
	given    bool    // what is around has to be given
}

func (w *walker) refuse(v cue.Value, at diagnostic.Path, message, hint string) {
	w.problems = append(w.problems, Problem{Path: slices.Clone(at), Positions: positions(v), Message: message, Hint: hint})
}

// positions are the places that a value may come from.
func positions(v cue.Value) []token.Pos {
	var all []token.Pos
	add := func(v cue.Value) {
		if f, ok := v.Source().(*ast.Field); ok && f.Value != nil {
			all = append(all, f.Value.Pos())
		}
		all = append(all, v.Pos())
	}
	add(v)
	if op, parts := v.Expr(); op == cue.AndOp {
		for _, part := range parts {
			add(part)
		}
	}
	return all
}

// maxDepth bounds how deep a schema goes.
const maxDepth = 48

// value returns the schema of a field, an entry or a value of a map; nil after a mistake.
func (w *walker) value(v cue.Value, at diagnostic.Path) map[string]any {
	if w.recursive(v, at) {
		return nil
	}
	w.places[at.Key()] = positions(v)
	w.around = append(w.around, shapeOf(v))
	defer func() { w.around = w.around[:len(w.around)-1] }()
	kind, core := v.IncompleteKind(), v
	if kind == cue.BottomKind {
		core = unbounded(v)
		kind = core.IncompleteKind()
	}
	schema := map[string]any{}
	nullable := kind&cue.NullKind != 0 && kind != cue.TopKind
	if nullable {
		schema["nullable"] = true
		kind &^= cue.NullKind
	}
	var typed map[string]any
	switch {
	case v.Err() != nil && kind == cue.BottomKind:
		w.broken(v, at, v.Err())
		return nil
	case kind == cue.BottomKind:
		w.refuse(v, at, "can only be null", "write the type that it has otherwise, as in null | string")
		return nil
	case kind == cue.TopKind && len(alternatives(v)) != 1, kind == cue.TopKind && hasConstraint(v):
		w.refuse(v, at, "can be anything, and has constraints", "a field has one type; write _ alone for a value that can be anything")
		return nil
	case kind == cue.TopKind:
		typed = map[string]any{preserve: true}
	case kind == cue.StructKind:
		if typed = w.structOf(core, at); typed != nil {
			w.validators(v, at, typed, objectValidators)
		}
	case kind == cue.ListKind:
		if typed = w.list(core, at); typed != nil {
			w.validators(v, at, typed, listValidators)
		}
	case kind&(cue.StructKind|cue.ListKind) != 0:
		w.refuse(v, at, "can be "+kindNames(kind), "a field has one type; write _ for a value that can be anything")
		return nil
	default:
		typed = w.scalar(v, kind, nullable, at)
	}
	if typed == nil {
		return nil
	}
	maps.Copy(schema, typed)
	w.attributes(v, at, schema)
	return schema
}

// hasConstraint reports whether a value is more than a type.
func hasConstraint(v cue.Value) bool {
	op, _ := alternatives(v)[0].Expr()
	return op != cue.NoOp
}

// broken refuses a value that CUE cannot evaluate, or not before other fields have values.
func (w *walker) broken(v cue.Value, at diagnostic.Path, err error) {
	for _, e := range cueerrors.Errors(err) {
		p := Problem{Path: slices.Clone(at), Message: diagnostic.FirstMessage(e)}
		if full := diagnostic.ErrorPath(e.Path()); len(full) > len(w.base)+len(at) && slices.Equal(full[:len(w.base)], w.base) {
			p.Path = full[len(w.base):]
		}
		p.Positions = append(cueerrors.Positions(e), positions(v)...)
		for _, word := range []string{"non-concrete", "incomplete", "required field missing"} {
			if strings.Contains(p.Message, word) {
				p.Message, p.Hint = "depends on another field: "+p.Message, ruleHint
				break
			}
		}
		w.problems = append(w.problems, p)
	}
}

// kindNames lists the types that a value can have.
func kindNames(kind cue.Kind) string {
	var names []string
	for _, k := range []cue.Kind{cue.BoolKind, cue.NumberKind, cue.StringKind, cue.BytesKind, cue.ListKind, cue.StructKind} {
		if kind&k != 0 {
			names = append(names, map[cue.Kind]string{
				cue.BoolKind: "a bool", cue.NumberKind: "a number", cue.StringKind: "a string", cue.BytesKind: "bytes", cue.ListKind: "a list", cue.StructKind: "an object",
			}[k])
		}
	}
	return diagnostic.Listing(names, "or")
}

// recursive refuses a value that is within itself: one around it has its shape.
func (w *walker) recursive(v cue.Value, at diagnostic.Path) bool {
	this := shapeOf(v)
	if len(this.sources) > 0 && slices.ContainsFunc(w.around, this.equal) {
		w.refuse(v, at, "is within itself: a structural schema has an end", "write _ where it begins again, or the levels that there are")
		return true
	}
	if len(at) > maxDepth {
		w.refuse(v, at, fmt.Sprintf("is more than %d levels deep", maxDepth), "")
		return true
	}
	return false
}
