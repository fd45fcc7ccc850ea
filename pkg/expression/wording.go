package expression

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/parser"
)

// wording puts the parts of a checked expression into the words of messages.
type wording struct {
	typed
	source  common.Source
	reader  reader
	written map[int64]ast.Expr // the expression as it was parsed
}

// name is how messages call an expression: a path, without the object, or its text.
func (x *wording) name(e ast.Expr) string {
	if r, ok := x.reader.path(x.original(e), nil); ok && len(r.path) > 0 {
		return x.reader.name(r)
	}
	return x.text(e)
}

// text is an expression as expressions are written, cut when it is long.
func (x *wording) text(e ast.Expr) string {
	text, err := parser.Unparse(x.original(e), x.tree.SourceInfo())
	if err != nil {
		return "this"
	}
	return shortened(text)
}

// original returns the expression that was written where one was checked.
func (x *wording) original(e ast.Expr) ast.Expr {
	id := e.ID()
	if old, ok := x.wrapped[id]; ok {
		id = old
	}
	if written, ok := x.written[id]; ok {
		return written
	}
	return e
}

// place returns where the last name of a path stands, and else where CEL has the expression.
func (x *wording) place(e ast.Expr) int {
	written := x.original(e)
	if r, ok := x.reader.path(written, nil); ok && len(r.offsets) > 0 {
		return r.offsets[len(r.offsets)-1]
	}
	if _, name := selection(written); name != "" {
		return x.reader.find(read{}, name, written)
	}
	return offset(x.source, x.tree.SourceInfo().GetStartLocation(e.ID()))
}

// selection returns what a field is read of, and its name.
func selection(e ast.Expr) (ast.Expr, string) {
	switch call := e.AsCall(); {
	case e.Kind() == ast.SelectKind:
		return e.AsSelect().Operand(), e.AsSelect().FieldName()
	case e.Kind() == ast.CallKind && call.FunctionName() == operators.OptSelect && len(call.Args()) == 2:
		name, _ := call.Args()[1].AsLiteral().(types.String)
		return call.Args()[0], string(name)
	default:
		if name, ok := indexName(call); ok {
			return call.Args()[0], name
		}
		return nil, ""
	}
}

// known returns the type of what an expression reads, or nil when nothing is known of it.
func (x *wording) known(e ast.Expr) Type {
	if e == nil {
		return nil
	}
	if e.Kind() == ast.CallKind && strings.HasPrefix(e.AsCall().FunctionName(), "@convert") {
		return x.known(e.AsCall().Args()[0])
	}
	t := x.tree.GetType(e.ID())
	if isOptional(t) {
		t = t.Parameters()[0]
	}
	if named, ok := x.types.named[t.TypeName()]; ok {
		return named
	}
	operand, name := selection(e)
	if operand == nil && e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index {
		operand = e.AsCall().Args()[0]
	}
	of := x.known(operand)
	if of == nil {
		return nil
	}
	switch of.shape() {
	case aStruct:
		f, _ := of.field(name)
		return f
	case aMap, aList:
		return of.elem()
	}
	return nil
}

func (x *wording) isQuantity(e ast.Expr) bool {
	t := x.known(e)
	return t != nil && t.scalar() == aQuantity
}

// what says what the value of an expression is.
func (x *wording) what(e ast.Expr) string {
	if t := x.known(e); t != nil && t.scalar() != "" {
		return t.scalar()
	}
	if e.Kind() == ast.CallKind && strings.HasPrefix(e.AsCall().FunctionName(), "@convert") {
		e = e.AsCall().Args()[0]
	}
	return described(x.tree.GetType(e.ID()))
}

// both says what two operands are.
func (x *wording) both(a, b ast.Expr) string {
	return fmt.Sprintf("%s and %s is %s", x.isA(a), x.name(b), ended(x.what(b)))
}

// isA says what one is.
func (x *wording) isA(e ast.Expr) string { return x.name(e) + " is " + x.what(e) }

// described puts a type into words.
func described(t *cel.Type) string {
	if of, ok := ofKubernetes[t.TypeName()]; ok {
		return of.what
	}
	switch t.Kind() {
	case types.StringKind:
		return aString
	case types.IntKind, types.UintKind:
		return aNumber
	case types.DoubleKind:
		return "a number with a fraction"
	case types.BoolKind:
		return aBool
	case types.ListKind:
		return string(aList)
	case types.MapKind:
		return string(aMap)
	case types.StructKind:
		return string(aStruct)
	case types.TimestampKind:
		return "a timestamp"
	case types.DurationKind:
		return "a duration"
	default:
		if isOptional(t) {
			return "an optional value"
		}
		return "of type " + cel.FormatCELType(t)
	}
}

// ended takes the comma from a description that nothing follows.
func ended(what string) string { return strings.TrimSuffix(what, ",") }
