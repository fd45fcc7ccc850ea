package trigger

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// Reads returns what the expression reads of an object, old or new: everything at and below these paths, and nothing else. An
// empty path is the whole object.
func (c *Condition) Reads() []Path {
	paths := make([]Path, len(c.reads))
	for i, r := range c.reads {
		paths[i] = slices.Clone(r.path)
	}
	return paths
}

// Check returns what the expression reads of objects of a Go type that the type does not have, once for each field. With
// top, the fields at the root of the type are all there are; else there may be others.
func (c *Condition) Check(known reflect.Type, top bool) Mistakes {
	var ms Mistakes
	told := map[string]bool{}
	for _, r := range c.reads {
		if m := dropped(r); m != nil && !told[m.Message] {
			told[m.Message] = true
			ms = append(ms, m)
			continue
		}
		_, err := Resolve(known, r.path)
		var wrong *FieldError
		if !errors.As(err, &wrong) || len(wrong.Known) == 0 || wrong.Index == 0 && !top || told[wrong.Message] {
			continue // What is below a list or a value may be right: an expression can look into them.
		}
		told[wrong.Message] = true
		m := &Mistake{Offset: r.offsets[wrong.Index], Message: wrong.Message, Unknown: r.path[wrong.Index], Known: wrong.Known}
		ms = append(ms, m)
	}
	return ms
}

// dropped is a mistake where r is in what no cached object has.
func dropped(r read) *Mistake {
	if len(r.path) < 2 || r.path[0] != "metadata" || r.path[1] != "managedFields" {
		return nil
	}
	return &Mistake{
		Offset:  r.offsets[1],
		Message: "metadata.managedFields is dropped when an object arrives: nothing is ever there",
		Hint:    "leave it out",
	}
}

// read is one path that an expression reads, and where in the text its names stand.
type read struct {
	path    Path
	offsets []int
}

// reader finds what an expression reads.
type reader struct {
	text []rune
	info *ast.SourceInfo
}

// below adds a name to what is read. CEL has the place of the dot or the bracket before it, and for a has() that of the whole.
func (x reader) below(r read, name string, e ast.Expr) read {
	start := 0
	if at, ok := x.info.GetOffsetRange(e.ID()); ok {
		start = int(at.Start)
	}
	if len(r.offsets) > 0 {
		start = max(start, r.offsets[len(r.offsets)-1]+1)
	}
	start = min(start, len(x.text))
	if before, _, ok := strings.Cut(string(x.text[start:]), name); ok {
		start += utf8.RuneCountInString(before)
	}
	return read{path: append(slices.Clone(r.path), name), offsets: append(slices.Clone(r.offsets), start)}
}

// all collects the paths that an expression reads.
func (x reader) all(e ast.Expr) []read {
	if r, ok := x.path(e); ok {
		return []read{r}
	}
	var all []read
	for _, part := range parts(e) {
		all = append(all, x.all(part)...)
	}
	return all
}

// path returns the path of an expression such as object.spec.x, object.?spec.x or object.spec["x"].
func (x reader) path(e ast.Expr) (read, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return read{}, isObject(e)
	case ast.SelectKind:
		r, ok := x.path(e.AsSelect().Operand())
		return x.below(r, e.AsSelect().FieldName(), e), ok
	case ast.CallKind:
		call := e.AsCall()
		if !slices.Contains([]string{operators.Index, operators.OptIndex, operators.OptSelect}, call.FunctionName()) || len(call.Args()) != 2 {
			return read{}, false
		}
		name, ok := call.Args()[1], call.Args()[1].Kind() == ast.LiteralKind
		if !ok {
			return read{}, false
		}
		text, ok := name.AsLiteral().(types.String)
		if !ok {
			return read{}, false
		}
		r, ok := x.path(call.Args()[0])
		return x.below(r, string(text), e), ok
	default:
		return read{}, false
	}
}

// parts returns the expressions that an expression is made of.
func parts(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		all := call.Args()
		if isNullTest(call) {
			return nil
		}
		if call.IsMemberFunction() {
			all = append([]ast.Expr{call.Target()}, all...)
		}
		return all
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.MapKind:
		var all []ast.Expr
		for _, entry := range e.AsMap().Entries() {
			all = append(all, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return all
	case ast.StructKind:
		var all []ast.Expr
		for _, field := range e.AsStruct().Fields() {
			all = append(all, field.AsStructField().Value())
		}
		return all
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		return []ast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()}
	default:
		return nil
	}
}

// isNullTest tells whether a call asks no more than whether an object is there: oldObject == null.
func isNullTest(call ast.CallExpr) bool {
	if call.FunctionName() != operators.Equals && call.FunctionName() != operators.NotEquals {
		return false
	}
	null, object := false, false
	for _, arg := range call.Args() {
		if arg.Kind() == ast.LiteralKind && arg.AsLiteral() == types.NullValue {
			null = true
		}
		object = object || isObject(arg)
	}
	return null && object
}

// isObject tells whether an expression is one of the variables. A variable of a comprehension may have the same name; then
// more is read than needed.
func isObject(e ast.Expr) bool {
	return e.Kind() == ast.IdentKind && slices.Contains([]string{"object", "oldObject"}, strings.TrimPrefix(e.AsIdent(), "."))
}
