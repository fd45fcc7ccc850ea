package expression

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// noOverload is about an operator or a function that does not take its operands.
func (x *explainer) noOverload(m *Mistake, call ast.CallExpr) {
	operands := operandsOf(call)
	function := call.FunctionName()
	switch function {
	case operators.LogicalNot:
		x.noCondition(m, operands[0])
		return
	case operators.Conditional:
		if t := x.tree.GetType(operands[0].ID()); t.Kind() != types.BoolKind && t.Kind() != types.DynKind {
			x.noCondition(m, operands[0])
			return
		}
		x.say(m, operands[1:], x.both(operands[1], operands[2])+": both sides of : must be of one type")
	case operators.Equals, operators.NotEquals:
		x.say(m, operands, x.both(operands[0], operands[1])+": they are never equal")
		m.Hint = x.comparing(operands[0], operands[1])
	case operators.In:
		x.notIn(m, operands[0], operands[1])
	case operators.Index, operators.OptIndex:
		x.noIndex(m, operands[0], operands[1])
	case operators.Negate:
		x.say(m, operands, fmt.Sprintf("%s is %s: - does not take it", x.name(operands[0]), x.what(operands[0])))
	default:
		if sign, ok := calculations[function]; ok {
			verb := "does not take"
			if strings.ContainsAny(sign, "<>") {
				verb = "cannot compare"
			}
			x.say(m, operands, fmt.Sprintf("%s: %s %s them", x.both(operands[0], operands[1]), sign, verb))
			m.Hint = x.calculating(operands[0], operands[1], sign)
			return
		}
		x.noFunction(m, call)
	}
}

// notIn is about what can never be in a list or a map.
func (x *explainer) notIn(m *Mistake, entry, all ast.Expr) {
	t := x.tree.GetType(all.ID())
	switch t.Kind() {
	case types.ListKind:
		x.say(m, []ast.Expr{entry, all}, fmt.Sprintf("%s and an entry of %s is %s: they are never equal",
			x.isA(entry), x.name(all), ended(described(t.Parameters()[0]))))
	case types.MapKind:
		x.say(m, []ast.Expr{entry, all}, fmt.Sprintf("%s and the keys of %s are strings", x.isA(entry), x.name(all)))
	default:
		x.say(m, []ast.Expr{entry, all}, fmt.Sprintf("%s is %s: in wants a list or a map", x.name(all), ended(x.what(all))))
		if t.Kind() == types.StringKind {
			m.Hint = fmt.Sprintf("write %s.contains(%s)", x.text(all), x.text(entry))
		}
	}
}

// noIndex is about brackets behind what has no such entries.
func (x *explainer) noIndex(m *Mistake, all, index ast.Expr) {
	want := "it has no entries"
	switch x.tree.GetType(all.ID()).Kind() {
	case types.ListKind:
		want = "its entries are numbered from 0"
	case types.MapKind:
		want = "its keys are strings"
	}
	x.say(m, []ast.Expr{all, index}, fmt.Sprintf("%s and %s is %s: %s",
		x.isA(all), x.name(index), ended(x.what(index)), want))
}

// noFunction is about a call of a function that does not take its target or its arguments.
func (x *explainer) noFunction(m *Mistake, call ast.CallExpr) {
	operands, name := operandsOf(call), call.FunctionName()
	for _, o := range operands {
		if _, ok := x.reader.path(x.original(o), nil); ok {
			m.Offset = x.place(o)
			break
		}
	}
	if call.IsMemberFunction() && !x.hasFunction(operands[0], name) {
		x.say(m, operands[:1], fmt.Sprintf("%s and has no function %s", x.isA(operands[0]), name))
		if t := x.known(operands[0]); t != nil && t.scalar() == aTime && slices.Contains(timeMethods, name) {
			m.Hint = reading(t, x.text(operands[0]))
		}
		return
	}
	args := make([]string, len(call.Args()))
	for i, arg := range call.Args() {
		args[i] = fmt.Sprintf("%s, %s", x.name(arg), ended(x.what(arg)))
	}
	what := strings.Join(args, ", and ")
	if what == "" {
		what = "nothing"
	}
	x.say(m, operands, fmt.Sprintf("%s() does not take %s", name, what))
}

// hasFunction reports whether values of the type of an expression have a function.
func (x *explainer) hasFunction(target ast.Expr, name string) bool {
	t := x.tree.GetType(target.ID())
	for _, o := range x.language.env.Functions()[name].OverloadDecls() {
		if o.IsMemberFunction() && (o.ArgTypes()[0].IsAssignableType(t) || o.ArgTypes()[0].Kind() == types.TypeParamKind) {
			return true
		}
	}
	return false
}

// comparing says how two operands that are never equal can be compared.
func (x *wording) comparing(a, b ast.Expr) string {
	for _, pair := range [][2]ast.Expr{{a, b}, {b, a}} {
		value, literal := pair[0], x.original(pair[1])
		if literal.Kind() != ast.LiteralKind {
			continue
		}
		switch t := x.tree.GetType(value.ID()); {
		case x.original(value).Kind() == ast.LiteralKind:
		case t.Kind() == types.MapKind && literal.AsLiteral().Type() == types.StringType:
			return fmt.Sprintf("ask for one of its keys, as in %s[\"a\"] == \"b\"", x.text(value))
		case t.Kind() == types.ListKind:
			return fmt.Sprintf("ask its entries, as in %s.exists(x, x == %s)", x.text(value), x.text(literal))
		default:
			if hint := rewritten(t, literal.AsLiteral()); hint != "" {
				return hint
			}
		}
	}
	return ""
}

// rewritten says how a literal is written in another type.
func rewritten(t *cel.Type, literal any) string {
	text, isText := literal.(types.String)
	switch {
	case t.Kind() == types.StringKind && !isText:
		if v, ok := literal.(interface{ Value() any }); ok && v.Value() != nil {
			return fmt.Sprintf("write %q in quotes", fmt.Sprint(v.Value()))
		}
	case t.Kind() == types.IntKind && isText:
		if _, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return fmt.Sprintf("write %s without quotes", text)
		}
	case t.Kind() == types.BoolKind && (text == "true" || text == "false"):
		return fmt.Sprintf("write %s without quotes", text)
	}
	return ""
}

// calculating says how two operands can be calculated with.
func (x *wording) calculating(a, b ast.Expr, sign string) string {
	for _, pair := range [][2]ast.Expr{{a, b}, {b, a}} {
		value, other := pair[0], pair[1]
		t, u := x.tree.GetType(value.ID()), x.tree.GetType(other.ID())
		switch {
		case x.isQuantity(value) && quantityMethods[sign] != "":
			return fmt.Sprintf("parse it, as in quantity(%s)."+quantityMethods[sign], x.text(value), x.asQuantity(other))
		case t.Kind() != types.StringKind:
		case sign == "+" && u.Kind() == types.IntKind:
			return fmt.Sprintf("write string(%s)", x.text(other))
		case x.original(value).Kind() == ast.LiteralKind:
			if hint := rewritten(u, x.original(value).AsLiteral()); hint != "" {
				return hint
			}
		case u.Kind() == types.IntKind && !x.isQuantity(value):
			return fmt.Sprintf("write int(%s)", x.text(value))
		case u.Kind() == types.TimestampKind:
			return fmt.Sprintf("write timestamp(%s)", x.text(value))
		case u.Kind() == types.DurationKind:
			return fmt.Sprintf("write duration(%s)", x.text(value))
		}
	}
	return ""
}

// quantityMethods are what operators are for parsed quantities.
var quantityMethods = map[string]string{
	"<": "isLessThan(%s)", ">": "isGreaterThan(%s)", "<=": "compareTo(%s) <= 0", ">=": "compareTo(%s) >= 0",
	"+": "add(%s)", "-": "sub(%s)",
}

// asQuantity says how a number is written as a quantity, with an example where it is no literal.
func (x *wording) asQuantity(e ast.Expr) string {
	if literal := x.original(e); literal.Kind() == ast.LiteralKind {
		return fmt.Sprintf("quantity(\"%v\")", literal.AsLiteral().Value())
	}
	return `quantity("1Gi")`
}
