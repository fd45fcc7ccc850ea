package structural

import (
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
)

// sources are the literals of objects that make up a value, in the order of the files.
func sources(v cue.Value) []ast.Node {
	var all []ast.Node
	for _, part := range parts(v) {
		if lit := literal(part); lit != nil {
			all = append(all, lit)
		}
	}
	slices.SortFunc(all, func(a, b ast.Node) int { return a.Pos().Compare(b.Pos()) })
	return slices.Compact(all)
}

// shape tells values apart that have a literal in common: one that embeds or adds to the other has
// more fields.
type shape struct {
	sources []ast.Node
	fields  []string
}

func shapeOf(v cue.Value) shape {
	s := shape{sources: sources(v)}
	if len(s.sources) == 0 {
		return s
	}
	if it, err := v.Fields(cue.Optional(true), cue.Patterns(true)); err == nil {
		for it.Next() {
			s.fields = append(s.fields, it.Selector().String())
		}
	}
	slices.Sort(s.fields)
	return s
}

// equal reports whether two shapes are the same. CUE knows no fields of a value that has no end.
func (s shape) equal(other shape) bool {
	return slices.Equal(s.sources, other.sources) && (len(s.fields) == 0 || slices.Equal(s.fields, other.fields))
}

// literal returns the struct literal that a value is written as, or nil.
func literal(v cue.Value) *ast.StructLit {
	source := v.Source()
	if f, ok := source.(*ast.Field); ok {
		source = f.Value
	}
	lit, _ := source.(*ast.StructLit)
	return lit
}

// maxParts bounds how many parts of one value are looked at.
const maxParts = 64

// parts returns what was unified to a value, with references followed: for {…} & #A & b, all three.
func parts(v cue.Value) []cue.Value {
	var found []cue.Value
	todo := []cue.Value{v}
	for len(todo) > 0 && len(found) < maxParts {
		next := todo[0]
		todo = todo[1:]
		if followed := cue.Dereference(next); followed != next {
			todo = append(todo, followed)
			continue
		}
		if op, args := next.Expr(); op == cue.AndOp {
			todo = append(todo, args...)
			continue
		}
		found = append(found, next)
	}
	return found
}

// unbounded returns a value without the functions that bound its length: an open list that must
// have an entry is a mistake to CUE as long as it has none.
func unbounded(v cue.Value) cue.Value {
	var core cue.Value
	bounded := false
	for _, part := range parts(v) {
		if op, args := part.Expr(); op == cue.CallOp && len(args) > 0 {
			name := functionName(args[0])
			if bounded = bounded || objectValidators[name] != "" || listValidators[name] != ""; bounded {
				continue
			}
		}
		if core == (cue.Value{}) {
			core = part
		} else {
			core = core.Unify(part)
		}
	}
	if !bounded || core == (cue.Value{}) {
		return v
	}
	return core
}

// describe returns the doc comments of a value as running text.
func describe(v cue.Value) string {
	var paragraphs []string
	for _, group := range v.Doc() {
		for paragraph := range strings.SplitSeq(strings.TrimSpace(group.Text()), "\n\n") {
			paragraph = strings.Join(strings.Fields(paragraph), " ")
			if paragraph != "" && !slices.Contains(paragraphs, paragraph) {
				paragraphs = append(paragraphs, paragraph)
			}
		}
	}
	return strings.Join(paragraphs, "\n\n")
}
