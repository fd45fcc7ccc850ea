package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// typed is an expression after a type check. The check is stricter than the evaluation, which knows
// no types and works on maps, lists and plain values.
type typed struct {
	tree    *ast.AST // with the types of its parts
	types   *objectTypes
	errors  []*common.Error
	wrapped map[int64]int64 // the IDs of what typeCheck has put into conversions, by those of these
}

// typeCheck checks a parsed expression with what is known of its variables. An IntOrString is once
// taken for a number and once for a string: what is wrong with both is wrong. The check without an
// error is returned, that with numbers if both have none. See
// docs/decisions/0010-cel-checks-the-types.md.
func (l *Language) typeCheck(parsed *ast.AST, source common.Source, scope Scope) (*typed, error) {
	known := &objectTypes{Provider: l.env.CELTypeProvider(), named: map[string]Type{}, intOrString: cel.IntType}
	first, err := l.checkOnce(parsed, source, scope, known)
	if err != nil || !known.seen || len(first.errors) == 0 {
		return first, err
	}
	second, err := l.checkWithStrings(parsed, source, scope)
	if err != nil || len(second.errors) == 0 {
		return second, err
	}
	again := map[int64]bool{}
	for _, e := range second.errors {
		again[e.ExprID] = true
	}
	var both []*common.Error
	for _, e := range first.errors {
		if again[e.ExprID] {
			both = append(both, e)
		}
	}
	first.errors = both
	return first, nil
}

// checkWithStrings checks an expression in which each IntOrString is a string.
func (l *Language) checkWithStrings(parsed *ast.AST, source common.Source, scope Scope) (*typed, error) {
	known := &objectTypes{Provider: l.env.CELTypeProvider(), named: map[string]Type{}, intOrString: cel.StringType}
	return l.checkOnce(parsed, source, scope, known)
}

// checkOnce runs CEL's type check until it has no error that converting objects to maps removes.
func (l *Language) checkOnce(parsed *ast.AST, source common.Source, scope Scope, known *objectTypes) (*typed, error) {
	c := &conversions{
		tree: ast.Copy(parsed), next: ast.MaxID(parsed), wrapped: map[int64]int64{},
	}
	c.prepare()
	for {
		env, err := l.checkerEnv(scope, known, c.functions)
		if err != nil {
			return nil, err
		}
		checked, errs := checker.Check(ast.Copy(c.tree), source, env) // It changes the tree.
		out := &typed{tree: checked, types: known, errors: errs.GetErrors(), wrapped: c.wrapped}
		if !c.convert(out) {
			return out, nil
		}
	}
}

// checkerEnv returns CEL's checker for what is known of the variables.
func (l *Language) checkerEnv(scope Scope, known *objectTypes, conversions []*decls.FunctionDecl) (*checker.Env, error) {
	env, err := checker.NewEnv(l.env.Container, known,
		checker.CrossTypeNumericComparisons(true), checker.ValidatedDeclarations(l.functions))
	if err != nil {
		return nil, fmt.Errorf("preparing the type check: %w", err)
	}
	for _, name := range scope.names() {
		if err := env.AddIdents(decls.NewVariable(name, known.typeOf(scope.Variables[name]))); err != nil {
			return nil, fmt.Errorf("preparing the type check: %w", err)
		}
	}
	if err := env.AddFunctions(conversions...); err != nil {
		return nil, fmt.Errorf("preparing the type check: %w", err)
	}
	return env, nil
}

// newFunctions returns a checker that knows the functions of an environment.
func newFunctions(env *cel.Env) (*checker.Env, error) {
	base, err := checker.NewEnv(env.Container, env.CELTypeProvider(), checker.CrossTypeNumericComparisons(true))
	if err != nil {
		return nil, fmt.Errorf("preparing the type check: %w", err)
	}
	for _, f := range env.Functions() {
		if f.IsDeclarationDisabled() {
			continue
		}
		if err := base.AddFunctions(f); err != nil {
			return nil, fmt.Errorf("preparing the type check: %w", err)
		}
	}
	return base, nil
}

// conversions changes an expression so that CEL's type check sees what the evaluation does.
type conversions struct {
	tree      *ast.AST
	next      int64
	functions []*decls.FunctionDecl
	wrapped   map[int64]int64
}

// prepare makes the index of a name the selection of a field, and lets null be of any type where
// something is compared with it or may be instead of it.
func (c *conversions) prepare() {
	var nodes []ast.Expr
	operand := map[int64]bool{} // of a calculation
	ast.PreOrderVisit(c.tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		nodes = append(nodes, e)
		if _, ok := calculations[e.AsCall().FunctionName()]; ok {
			for _, arg := range e.AsCall().Args() {
				operand[arg.ID()] = true
			}
		}
	}))
	factory := ast.NewExprFactory()
	for _, e := range nodes {
		name, ok := indexName(e.AsCall())
		switch {
		case e.Kind() == ast.LiteralKind && e.AsLiteral() == types.NullValue && !operand[e.ID()]:
			c.wrap(e, "dyn")
		case ok && e.AsCall().FunctionName() == operators.Index:
			e.SetKindCase(factory.NewSelect(e.ID(), e.AsCall().Args()[0], name))
		case ok && e.AsCall().FunctionName() == operators.OptIndex:
			e.SetKindCase(factory.NewCall(e.ID(), operators.OptSelect, e.AsCall().Args()...))
		}
	}
}

// calculations are the operators that null is no operand of.
var calculations = map[string]string{
	operators.Add: "+", operators.Subtract: "-", operators.Multiply: "*", operators.Divide: "/", operators.Modulo: "%",
	operators.Less: "<", operators.LessEquals: "<=", operators.Greater: ">", operators.GreaterEquals: ">=",
}

// indexName returns the name in object["name"].
func indexName(call ast.CallExpr) (string, bool) {
	if !slices.Contains([]string{operators.Index, operators.OptIndex}, call.FunctionName()) {
		return "", false
	}
	if len(call.Args()) != 2 || call.Args()[1].Kind() != ast.LiteralKind {
		return "", false
	}
	name, ok := call.Args()[1].AsLiteral().(types.String)
	return string(name), ok
}

// convert converts the objects among the operands of calls, and among the ranges of macros, that
// the check has found wrong. It reports whether there were any.
func (c *conversions) convert(t *typed) bool {
	nodes := nodesByID(c.tree)
	converted := false
	for _, e := range t.errors {
		node, ok := nodes[e.ExprID]
		switch {
		case !ok:
		case strings.HasPrefix(e.Message, noOverload) && node.Kind() == ast.CallKind:
			for _, operand := range operandsOf(node.AsCall()) {
				converted = c.toMap(operand, t.tree.GetType(operand.ID())) || converted
			}
		case strings.Contains(e.Message, noRange):
			converted = c.toMap(node, t.tree.GetType(node.ID())) || converted
		}
	}
	return converted
}

// The beginnings and parts of messages that CEL's checker has no codes for.
const (
	noOverload  = "found no matching overload"
	noRange     = "cannot be range of a comprehension"
	noField     = "undefined field"
	noSelection = "does not support field selection"
	noReference = "undeclared reference to "
	noBool      = "expected type 'bool' but found "
)

// toMap converts an operand whose type is made of objects to the same with maps.
func (c *conversions) toMap(operand ast.Expr, t *cel.Type) bool {
	maps, ok := withMaps(t)
	if !ok {
		return false
	}
	name := fmt.Sprintf("@convert%d", len(c.functions))
	function, err := decls.NewFunction(name, decls.Overload(name+"_dyn", []*cel.Type{cel.DynType}, maps))
	if err != nil {
		return false
	}
	c.functions = append(c.functions, function)
	c.wrap(operand, name)
	return true
}

// withMaps returns a type with maps in the place of objects; false when there are none in it.
func withMaps(t *cel.Type) (*cel.Type, bool) {
	if t.Kind() == types.StructKind {
		_, parsed := ofKubernetes[t.TypeName()]
		return cel.MapType(cel.StringType, cel.DynType), !parsed
	}
	if len(t.Parameters()) == 0 {
		return nil, false
	}
	elem, ok := withMaps(t.Parameters()[len(t.Parameters())-1])
	switch {
	case !ok:
		return nil, false
	case t.Kind() == types.ListKind:
		return cel.ListType(elem), true
	case t.Kind() == types.MapKind:
		return cel.MapType(t.Parameters()[0], elem), true
	case isOptional(t):
		return cel.OptionalType(elem), true
	default:
		return nil, false
	}
}

// wrap makes an expression the argument of a function.
func (c *conversions) wrap(e ast.Expr, function string) {
	factory := ast.NewExprFactory()
	inner := factory.NewUnspecifiedExpr(c.next)
	inner.SetKindCase(e)
	if at, ok := c.tree.SourceInfo().GetOffsetRange(e.ID()); ok {
		c.tree.SourceInfo().SetOffsetRange(c.next, at)
	}
	c.wrapped[c.next] = e.ID()
	c.next++
	e.SetKindCase(factory.NewCall(e.ID(), function, inner))
}

func nodesByID(tree *ast.AST) map[int64]ast.Expr {
	nodes := map[int64]ast.Expr{}
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) { nodes[e.ID()] = e }))
	return nodes
}

// operandsOf returns the target of a call, if it has one, and its arguments.
func operandsOf(call ast.CallExpr) []ast.Expr {
	if call.IsMemberFunction() {
		return append([]ast.Expr{call.Target()}, call.Args()...)
	}
	return call.Args()
}

func isOptional(t *cel.Type) bool {
	return t.Kind() == types.OpaqueKind && t.TypeName() == "optional_type"
}
