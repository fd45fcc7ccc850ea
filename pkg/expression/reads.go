package expression

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// read is one path that an expression reads of a variable, and where in the text its names stand.
type read struct {
	variable string
	path     Path
	offsets  []int
}

// reader finds what an expression reads.
type reader struct {
	text      []rune
	info      *ast.SourceInfo
	variables []string // of the scope
	ofObject  bool     // paths are named without their variable
}

// name is how messages call what is read.
func (x reader) name(r read) string {
	if x.ofObject {
		return r.path.String()
	}
	return append(Path{r.variable}, r.path...).String()
}

// locals are the names of variables that comprehensions have declared around an expression.
type locals []string

// within collects the paths that a part of an expression reads.
func (x reader) within(e ast.Expr, local locals) []read {
	if r, ok := x.path(e, local); ok {
		return []read{r}
	}
	var all []read
	for _, p := range x.parts(e, local) {
		all = append(all, x.within(p.Expr, p.local)...)
	}
	return all
}

// timeMethods are the functions that points in time and durations have, and nothing else.
var timeMethods = []string{
	"getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds",
}

// below adds a name to what is read.
func (x reader) below(r read, name string, e ast.Expr) read {
	return read{
		variable: r.variable,
		path:     append(slices.Clone(r.path), name),
		offsets:  append(slices.Clone(r.offsets), x.find(r, name, e)),
	}
}

// find returns where a name stands that is read below r. CEL has the place of the dot or the
// bracket before it, and for a has() that of the whole: the name is the first one of that spelling
// behind a dot, a question mark or a quote.
func (x reader) find(r read, name string, e ast.Expr) int {
	start := 0
	if at, ok := x.info.GetOffsetRange(e.ID()); ok {
		start = int(at.Start)
	}
	if n := len(r.offsets); n > 0 {
		start = max(start, r.offsets[n-1]+utf8.RuneCountInString(r.path[n-1]))
	}
	start = min(start, len(x.text))
	wanted := []rune(name)
	for i := start; i+len(wanted) <= len(x.text); i++ {
		if slices.Equal(x.text[i:i+len(wanted)], wanted) && x.begins(i) && x.ends(i+len(wanted)) {
			return i
		}
	}
	return start
}

// begins reports whether a name can begin at a place.
func (x reader) begins(at int) bool {
	for at--; at >= 0 && unicode.IsSpace(x.text[at]); at-- {
	}
	return at >= 0 && strings.ContainsRune(".?\"'`", x.text[at])
}

// ends reports whether a name can end at a place.
func (x reader) ends(at int) bool {
	return at == len(x.text) || x.text[at] != '_' && !unicode.IsLetter(x.text[at]) && !unicode.IsDigit(x.text[at])
}

// path returns the path of an expression such as object.spec.x, object.?spec.x or object.spec["x"].
func (x reader) path(e ast.Expr, local locals) (read, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		name, ok := x.variable(e, local)
		return read{variable: name}, ok
	case ast.SelectKind:
		r, ok := x.path(e.AsSelect().Operand(), local)
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
		r, ok := x.path(call.Args()[0], local)
		return x.below(r, string(text), e), ok
	default:
		return read{}, false
	}
}

// part is an expression within another.
type part struct {
	ast.Expr
	local locals
}

// parts returns the expressions that an expression is made of.
func (x reader) parts(e ast.Expr, local locals) []part {
	if e.Kind() == ast.ComprehensionKind {
		c := e.AsComprehension()
		inner := append(slices.Clone(local), c.IterVar(), c.IterVar2(), c.AccuVar())
		result := append(slices.Clone(local), c.AccuVar())
		return []part{{c.IterRange(), local}, {c.AccuInit(), local}, {c.LoopCondition(), inner}, {c.LoopStep(), inner}, {c.Result(), result}}
	}
	var all []part
	for _, inner := range x.operands(e, local) {
		all = append(all, part{inner, local})
	}
	return all
}

// operands returns the parts of an expression that declares no variables.
func (x reader) operands(e ast.Expr, local locals) []ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		all := call.Args()
		if x.isNullTest(call, local) {
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
	default:
		return nil
	}
}

// isNullTest reports whether a call asks no more than whether an object is there: oldObject ==
// null.
func (x reader) isNullTest(call ast.CallExpr, local locals) bool {
	if call.FunctionName() != operators.Equals && call.FunctionName() != operators.NotEquals {
		return false
	}
	null, variable := false, false
	for _, arg := range call.Args() {
		if arg.Kind() == ast.LiteralKind && arg.AsLiteral() == types.NullValue {
			null = true
		}
		if _, ok := x.variable(arg, local); ok {
			variable = true
		}
	}
	return null && variable
}

// variable returns the name of the variable of the scope that an expression is. Where a
// comprehension has declared one of the same name, that is meant, unless a dot stands before it,
// which the type check leaves there.
func (x reader) variable(e ast.Expr, local locals) (string, bool) {
	if e.Kind() != ast.IdentKind {
		return "", false
	}
	name, absolute := strings.CutPrefix(e.AsIdent(), ".")
	return name, slices.Contains(x.variables, name) && (absolute || !slices.Contains(local, name))
}

// named returns the variables that an expression has anywhere, also those that it does not read.
func (x reader) named(e ast.Expr, local locals) []string {
	if name, ok := x.variable(e, local); ok {
		return []string{name}
	}
	var all []string
	if e.Kind() == ast.CallKind && x.isNullTest(e.AsCall(), local) { // It has no parts that are read.
		for _, arg := range e.AsCall().Args() {
			all = append(all, x.named(arg, local)...)
		}
		return all
	}
	for _, p := range x.parts(e, local) {
		all = append(all, x.named(p.Expr, p.local)...)
	}
	return all
}
