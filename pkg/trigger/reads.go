package trigger

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// Reads returns what the expression reads of an object, old or new: everything at and below these
// paths, and nothing else. An empty path is the whole object.
func (c *Condition) Reads() []Path {
	paths := make([]Path, len(c.reads))
	for i, r := range c.reads {
		paths[i] = slices.Clone(r.path)
	}
	return paths
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

// scope are the names of variables that a comprehension has declared around an expression.
type scope []string

// within collects the paths that a part of an expression reads.
func (x reader) within(e ast.Expr, local scope) []read {
	if r, ok := x.path(e, local); ok {
		return []read{r}
	}
	var all []read
	for _, p := range parts(e, local) {
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
		path:    append(slices.Clone(r.path), name),
		offsets: append(slices.Clone(r.offsets), x.find(r, name, e)),
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
func (x reader) path(e ast.Expr, local scope) (read, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return read{}, isObject(e, local)
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
	local scope
}

// parts returns the expressions that an expression is made of.
func parts(e ast.Expr, local scope) []part {
	if e.Kind() == ast.ComprehensionKind {
		c := e.AsComprehension()
		inner := append(slices.Clone(local), c.IterVar(), c.IterVar2(), c.AccuVar())
		result := append(slices.Clone(local), c.AccuVar())
		return []part{{c.IterRange(), local}, {c.AccuInit(), local}, {c.LoopCondition(), inner}, {c.LoopStep(), inner}, {c.Result(), result}}
	}
	var all []part
	for _, inner := range operands(e, local) {
		all = append(all, part{inner, local})
	}
	return all
}

// operands returns the parts of an expression that declares no variables.
func operands(e ast.Expr, local scope) []ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		all := call.Args()
		if isNullTest(call, local) {
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
func isNullTest(call ast.CallExpr, local scope) bool {
	if call.FunctionName() != operators.Equals && call.FunctionName() != operators.NotEquals {
		return false
	}
	null, object := false, false
	for _, arg := range call.Args() {
		if arg.Kind() == ast.LiteralKind && arg.AsLiteral() == types.NullValue {
			null = true
		}
		object = object || isObject(arg, local)
	}
	return null && object
}

// isObject reports whether an expression is one of the variables object and oldObject. Where a
// comprehension has declared one of the same name, that is meant, unless a dot stands before it,
// which the type check leaves there.
func isObject(e ast.Expr, local scope) bool {
	return slices.ContainsFunc(variableNames, func(name string) bool { return isVariable(e, name, local) })
}

func isVariable(e ast.Expr, variable string, local scope) bool {
	if e.Kind() != ast.IdentKind {
		return false
	}
	name, absolute := strings.CutPrefix(e.AsIdent(), ".")
	return name == variable && (absolute || !slices.Contains(local, name))
}

// namesOld reports whether an expression has the variable oldObject anywhere.
func namesOld(e ast.Expr, local scope) bool {
	if isVariable(e, "oldObject", local) {
		return true
	}
	if e.Kind() == ast.CallKind && isNullTest(e.AsCall(), local) { // It has no parts that are read.
		return slices.ContainsFunc(e.AsCall().Args(), func(arg ast.Expr) bool { return namesOld(arg, local) })
	}
	return slices.ContainsFunc(parts(e, local), func(p part) bool { return namesOld(p.Expr, p.local) })
}
