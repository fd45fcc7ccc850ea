package trigger

import (
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// Reads returns what the expression reads of an object, old or new: everything at and below these paths, and nothing else. An
// empty path is the whole object.
func (c *Condition) Reads() []Path { return slices.Clone(c.reads) }

// readsOf collects the paths that an expression reads.
func readsOf(e ast.Expr) []Path {
	if p, ok := readPath(e); ok {
		return []Path{p}
	}
	var all []Path
	for _, part := range parts(e) {
		all = append(all, readsOf(part)...)
	}
	return all
}

// readPath returns the path of an expression such as object.spec.x, object.?spec.x or object.spec["x"].
func readPath(e ast.Expr) (Path, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		// A variable of a comprehension may have the same name; then more is read than needed.
		name := e.AsIdent()
		return Path{}, name == "object" || name == "oldObject" || name == ".object" || name == ".oldObject"
	case ast.SelectKind:
		p, ok := readPath(e.AsSelect().Operand())
		return append(p, e.AsSelect().FieldName()), ok
	case ast.CallKind:
		call := e.AsCall()
		if !slices.Contains([]string{operators.Index, operators.OptIndex, operators.OptSelect}, call.FunctionName()) || len(call.Args()) != 2 {
			return nil, false
		}
		name, ok := call.Args()[1], call.Args()[1].Kind() == ast.LiteralKind
		if !ok {
			return nil, false
		}
		text, ok := name.AsLiteral().(types.String)
		if !ok {
			return nil, false
		}
		p, ok := readPath(call.Args()[0])
		return append(p, string(text)), ok
	default:
		return nil, false
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
		p, ok := readPath(arg)
		object = object || ok && len(p) == 0
	}
	return null && object
}
