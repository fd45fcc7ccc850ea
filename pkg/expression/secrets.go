package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/parser"
)

// secretFields are those of a Secret that hold its values.
var secretFields = []string{"data", "stringData"}

// flow finds out whether values of Secrets can be in what an expression makes. What is known of
// types says where a Secret is. True and false, and the size of something, are facts about a value
// and not the value.
type flow struct {
	*explainer
	local map[string]bool // whether the variables of comprehensions hold such values
}

// secretIn returns the part of an expression that reads a value of a Secret which can be in the
// result, or the whole Secret that is in it.
func (x *explainer) secretIn() (ast.Expr, bool) {
	f := flow{explainer: x, local: map[string]bool{}}
	root := x.tree.Expr()
	if f.holdsSecret(root) {
		return root, true
	}
	return f.source(root)
}

// isSecret reports whether an expression makes a Secret, or perhaps one.
func (f flow) isSecret(e ast.Expr) bool {
	if call := e.AsCall(); e.Kind() == ast.CallKind && call.IsMemberFunction() && slices.Contains([]string{"orValue", "or"}, call.FunctionName()) {
		return f.isSecret(call.Target())
	}
	t := f.tree.GetType(e.ID())
	if isOptional(t) {
		t = t.Parameters()[0]
	}
	return isSecret(f.known(e)) || isSecret(f.types.named[t.TypeName()])
}

// holdsSecret reports whether an expression makes something that whole Secrets are in.
func (f flow) holdsSecret(e ast.Expr) bool {
	return f.isSecret(e) || f.mentionsSecret(f.tree.GetType(e.ID()))
}

// mentionsSecret reports whether a type is made of Secrets.
func (f flow) mentionsSecret(t *types.Type) bool {
	return withSecret(f.types.named[t.TypeName()]) || slices.ContainsFunc(t.Parameters(), f.mentionsSecret)
}

// withSecret reports whether a type is that of Secrets, or of a record with Secrets.
func withSecret(t Type) bool {
	switch t := t.(type) {
	case record:
		return slices.ContainsFunc(t.names(), func(name string) bool { return withSecret(t.fields[name]) })
	case list:
		return withSecret(t.entry)
	default:
		return isSecret(t)
	}
}

// source returns the part of e whose value of a Secret can be in what e makes.
func (f flow) source(e ast.Expr) (ast.Expr, bool) {
	if f.tree.GetType(e.ID()).Kind() == types.BoolKind {
		return nil, false
	}
	switch e.Kind() {
	case ast.IdentKind:
		name := strings.TrimPrefix(e.AsIdent(), ".")
		if held, ok := f.local[name]; ok {
			return e, held
		}
		return e, slices.Contains(f.scope.Secret, name)
	case ast.ComprehensionKind:
		return f.comprehension(e.AsComprehension())
	case ast.ListKind, ast.MapKind, ast.StructKind:
		return f.any(f.reader.operands(e, nil), f.lost(e))
	}
	if operand, name := selection(e); operand != nil {
		if f.isSecret(operand) {
			return e, slices.Contains(secretFields, name)
		}
		if found, ok := f.source(operand); !ok || found != operand {
			return found, ok
		}
		return e, true // A key of the data says more than the data.
	}
	if e.Kind() == ast.CallKind {
		return f.call(e)
	}
	return nil, false
}

// call is source for a call of a function or operator.
func (f flow) call(e ast.Expr) (ast.Expr, bool) {
	call := e.AsCall()
	operands := operandsOf(call)
	switch call.FunctionName() {
	case "size":
		return nil, false
	case operators.Conditional:
		operands = operands[1:]
	}
	return f.any(operands, f.lost(e))
}

// lost returns what finds the operands with whole Secrets, where the type of e does not say any
// more that they are in it.
func (f flow) lost(e ast.Expr) func(ast.Expr) bool {
	if f.holdsSecret(e) {
		return nil
	}
	return f.holdsSecret
}

// comprehension is source for a macro.
func (f flow) comprehension(c ast.ComprehensionExpr) (ast.Expr, bool) {
	at, held := f.source(c.IterRange())
	inner := flow{explainer: f.explainer, local: map[string]bool{}}
	maps.Copy(inner.local, f.local)
	inner.local[c.IterVar()], inner.local[c.AccuVar()] = held, false
	if c.HasIterVar2() {
		inner.local[c.IterVar2()] = held
	}
	parts := []ast.Expr{c.LoopStep(), c.Result()}
	if name := c.AccuVar(); name != parser.AccumulatorName && name != parser.HiddenAccumulatorName { // cel.bind
		at, held = f.source(c.AccuInit())
		inner.local[name], parts = held, parts[1:]
	} else if found, ok := f.source(c.AccuInit()); ok {
		return found, true
	}
	found, ok := inner.any(parts, nil)
	if ok && found.Kind() == ast.IdentKind && held {
		return at, true // It is more than the name of a variable.
	}
	return found, ok
}

// any is source for the first of several expressions that has one, or that is wrong as a whole.
func (f flow) any(all []ast.Expr, whole func(ast.Expr) bool) (ast.Expr, bool) {
	for _, e := range all {
		if whole != nil && whole(e) {
			return e, true
		}
		if found, ok := f.source(e); ok {
			return found, true
		}
	}
	return nil, false
}

// Public is what is wanted at a place that more people may read than may read Secrets, which
// messages call by a name: no values of Secrets. Yes or no, and a size, are no values.
func (w Want) Public(place string) Want {
	w.public = place
	return w
}

// secretAt is a mistake where a value of a Secret would be at a public place.
func (x *explainer) secretAt(place string) *Mistake {
	e, ok := x.secretIn()
	if !ok {
		return nil
	}
	f := flow{explainer: x}
	operand, _ := selection(e)
	what, hint := "is the value of a Secret", "name the Secret and its key instead"
	switch t := x.known(e); {
	case f.isSecret(e):
		what, hint = "is a Secret with its values", fmt.Sprintf("take what may be read of it, as in %s.metadata.name", x.text(e))
	case t != nil && t.shape() == aList && f.holdsSecret(e):
		what, hint = "is a list of Secrets with their values", fmt.Sprintf("take their names, as in %s.map(s, s.metadata.name)", x.text(e))
	case f.holdsSecret(e):
		what = "has Secrets in it, with their values"
	case operand != nil:
		secret := operand
		for ; secret != nil && !f.isSecret(secret); secret, _ = selection(secret) {
		}
		if secret != nil {
			asking := "has(" + x.text(e) + ")"
			if original := x.original(e); isIndex(original) {
				_, key := selection(original)
				asking = fmt.Sprintf("%q in %s", key, x.text(operand))
			}
			hint = fmt.Sprintf("say where it is, as in %s.metadata.name, or whether it is there, as in %s", x.text(secret), asking)
		}
	}
	return &Mistake{Offset: x.place(e), Message: fmt.Sprintf("%s %s: more people can read %s", x.name(e), what, place), Hint: hint}
}
