package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// explainer makes mistakes of the errors of the type check.
type explainer struct {
	wording
	language *Language
	checked  map[int64]ast.Expr // the expression as it was checked
	scope    Scope
}

// typeMistakes returns all errors of the type check, in the order of their places.
func (x *explainer) typeMistakes() Mistakes {
	ms := x.escapes()
	consequences := x.language.consequences(x.written[x.tree.Expr().ID()])
	for _, e := range x.errors {
		if m := x.mistake(e, consequences); m != nil {
			ms = append(ms, m)
		}
	}
	return x.reader.once(append(ms, x.literals()...))
}

// mistake explains one error; nil for one that follows from another.
func (x *explainer) mistake(e *common.Error, consequences map[int64]bool) *Mistake {
	m := &Mistake{Offset: offset(x.source, e.Location)}
	node, ok := x.checked[e.ExprID]
	name, unknown := strings.CutPrefix(strings.TrimSuffix(e.Message, " (in container '')"), noReference)
	switch {
	case unknown && (consequences[e.ExprID] || namespaces{x}.isSaid(node)):
		return nil
	case unknown:
		x.unknown(m, strings.Trim(name, "'"), node)
	case !ok:
		m.Message = e.Message
	case strings.HasPrefix(e.Message, noField), strings.Contains(e.Message, noSelection):
		x.noField(m, node)
	case strings.HasPrefix(e.Message, noBool):
		x.noCondition(m, node)
	case strings.Contains(e.Message, noRange):
		x.say(m, []ast.Expr{node}, fmt.Sprintf("%s is %s and has no entries", x.name(node), x.what(node)))
	case strings.HasPrefix(e.Message, noOverload):
		if slices.ContainsFunc(operandsOf(node.AsCall()), x.isWrong) {
			return nil
		}
		x.noOverload(m, node.AsCall())
	default:
		m.Message = operatorNames.Replace(e.Message)
	}
	return m
}

// isWrong reports whether an operand is what another error is about.
func (x *explainer) isWrong(e ast.Expr) bool { return x.tree.GetType(e.ID()).Kind() == types.ErrorKind }

// say sets the message, with the kind before it when it is about a field of that.
func (x *explainer) say(m *Mistake, about []ast.Expr, message string) {
	if slices.ContainsFunc(about, func(e ast.Expr) bool { return x.known(e) != nil }) {
		message = x.scope.prefix() + message
	}
	m.Message = message
}

// noField is about the selection of a field that is not there.
func (x *explainer) noField(m *Mistake, node ast.Expr) {
	operand, field := selection(node)
	m.Offset = x.place(node)
	t, what := x.known(operand), x.what(operand)
	switch {
	case t != nil && t.shape() == aStruct:
		m.Unknown, m.Known = field, t.names()
		x.say(m, []ast.Expr{operand}, "there is no field "+x.name(node))
		return
	case t != nil && t.shape() == aList && isIndex(x.original(node)):
		m.Hint = "its entries are numbered from 0"
	case t != nil && t.shape() == aList:
		m.Hint = fmt.Sprintf("ask its entries, as in %s.exists(x, x.%s == \"a\")", x.text(operand), field)
	case t != nil:
		m.Hint = reading(t, x.text(operand))
		if key := x.dottedKey(node); key != "" {
			m.Hint = "a key with dots in it stands in brackets, as in " + key
		}
	}
	x.say(m, []ast.Expr{operand}, fmt.Sprintf("%s is %s and has no field %s", x.name(operand), what, field))
}

// dottedKey returns how a key of a map would be written whose part behind a dot is read as a field.
func (x *explainer) dottedKey(node ast.Expr) string {
	key, _ := selection(node)
	of, _ := selection(key)
	if t := x.known(of); t == nil || t.shape() != aMap || isIndex(x.original(key)) {
		return ""
	}
	part, _ := x.reader.path(x.original(node), nil)
	whole := part.path
	for _, e := range x.written {
		r, ok := x.reader.path(e, nil)
		if ok && len(r.path) > len(whole) && slices.Equal(r.offsets[:len(part.offsets)], part.offsets) {
			whole = r.path
		}
	}
	n := len(part.path) - 2
	if n < 0 {
		return ""
	}
	return fmt.Sprintf("%s[%q]", x.text(of), strings.Join(whole[n:], "."))
}

// noCondition is about what is no condition and should be one.
func (x *explainer) noCondition(m *Mistake, node ast.Expr) {
	m.Offset = x.place(node)
	if r, ok := x.reader.path(x.original(node), nil); ok && len(r.path) == 0 {
		m.Hint = exampleHint
		x.say(m, []ast.Expr{node}, "want true or false, have the whole object")
		return
	}
	if x.original(node).Kind() != ast.LiteralKind {
		m.Hint = "compare it"
	}
	if t := x.known(node); t != nil && t.shape() != aValue {
		m.Hint = fmt.Sprintf("write has(%s) to ask whether it is there", x.text(node))
	}
	x.say(m, []ast.Expr{node}, fmt.Sprintf("want true or false, but %s is %s", x.name(node), ended(x.what(node))))
}

// noBool is a mistake where the whole expression is no condition.
func (x *explainer) noBool() *Mistake {
	node := x.checked[x.tree.Expr().ID()]
	t := x.tree.GetType(node.ID())
	switch {
	case t.Kind() == types.BoolKind || t.Kind() == types.DynKind || t.Kind() == types.ErrorKind:
		if r, ok := x.reader.path(x.original(node), nil); ok && len(r.path) == 0 {
			break
		}
		return nil
	case x.known(node) == nil:
		return &Mistake{
			Message: "want true or false, have a value of type " + cel.FormatCELType(t), Hint: exampleHint,
		}
	}
	m := &Mistake{}
	x.noCondition(m, node)
	return m
}
