package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
)

const noName = "there is no variable or function "

// unknown says what is wrong with the name of no variable or function, which stands at a node.
func (x *explainer) unknown(m *Mistake, name string, node ast.Expr) {
	if usage, ok := macros[name]; ok {
		m.Message = fmt.Sprintf("%s() wants %s", name, usage.wants)
		m.Hint = "write it as in " + usage.example
		return
	}
	if function, ok := (namespaces{x}).called(name, node); ok {
		namespaces{x}.unknown(m, name, name+"."+function)
		return
	}
	m.Message = noName + name
	variables := x.scope.names()
	m.Unknown, m.Known = name, slices.Sorted(slices.Values(append(slices.Clone(variables), x.language.names...)))
	m.Hint = fmt.Sprintf("there are the variables %s, and the functions of CEL", enumerated(variables))
}

// namespaces are what the names of functions begin with, before a dot. CEL takes such a name for
// two where there is no such function.
type namespaces struct{ *explainer }

// called returns the function of a namespace that is called where the namespace stands at a node.
func (x namespaces) called(namespace string, node ast.Expr) (string, bool) {
	if node == nil || !x.language.isNamespace(namespace) {
		return "", false
	}
	for _, e := range x.written {
		if target := targetOf(e); target != nil && target.ID() == node.ID() {
			return e.AsCall().FunctionName(), true
		}
	}
	return "", false
}

// isSaid reports whether a call is of a namespace about which another message is.
func (x namespaces) isSaid(call ast.Expr) bool {
	target := targetOf(call)
	return target != nil && target.Kind() == ast.IdentKind && x.language.isNamespace(target.AsIdent()) &&
		slices.ContainsFunc(x.errors, func(e *common.Error) bool {
			return e.ExprID == target.ID() && strings.HasPrefix(e.Message, noReference)
		})
}

// targetOf returns what a function is called of, nil for nothing.
func targetOf(e ast.Expr) ast.Expr {
	if e == nil || e.Kind() != ast.CallKind || !e.AsCall().IsMemberFunction() {
		return nil
	}
	return e.AsCall().Target()
}

// unknown says what is wrong with the call of a function of a namespace: there is none of that
// name, or it is a macro with a wrong number of arguments.
func (x namespaces) unknown(m *Mistake, namespace, name string) {
	if usage, ok := macros[name]; ok {
		m.Message = fmt.Sprintf("%s() wants %s", name, usage.wants)
		m.Hint = "write it as in " + usage.example
		return
	}
	m.Message, m.Unknown = "there is no function "+name, name
	for _, known := range x.language.names {
		if strings.HasPrefix(known, namespace+".") {
			m.Known = append(m.Known, known)
		}
	}
}

// isNamespace reports whether the names of functions begin with a name and a dot.
func (l *Language) isNamespace(name string) bool {
	return slices.ContainsFunc(l.names, func(known string) bool { return strings.HasPrefix(known, name+".") })
}

// macros are those whose calls stay calls where the number of arguments is wrong, and then look
// like unknown functions.
var macros = map[string]struct{ wants, example string }{
	"all":        {"a variable and an expression", "list.all(x, x > 0)"},
	"exists":     {"a variable and an expression", "list.exists(x, x > 0)"},
	"exists_one": {"a variable and an expression", "list.exists_one(x, x > 0)"},
	"existsOne":  {"two variables and an expression", "map.existsOne(k, v, v > 0)"},
	"filter":     {"a variable and an expression", "list.filter(x, x > 0)"},
	"map":        {"a variable and an expression", "list.map(x, x + 1)"},
	"has":        {"one field", "has(object.spec.replicas)"},
	"optMap":     {"a variable and an expression", "object.?spec.?replicas.optMap(x, x + 1)"},
	"optFlatMap": {"a variable and an expression", "object.?spec.optFlatMap(x, x.?replicas)"},

	"sortBy":            {"a variable and an expression", "list.sortBy(x, x.name)"},
	"transformList":     {"two variables and an expression", "list.transformList(i, x, x + i)"},
	"transformMap":      {"two variables and an expression", "map.transformMap(k, v, v + 1)"},
	"transformMapEntry": {"two variables and an expression that makes a map", "map.transformMapEntry(k, v, {v: k})"},

	"cel.bind": {"a variable, its value and an expression", "cel.bind(x, object.spec.replicas, x * x)"},
}

func isMacro(name string) bool {
	_, ok := macros[name]
	return ok
}

// macroName returns what a macro is called by, with its namespace.
func macroName(function string) string {
	switch function {
	case "bind":
		return "cel.bind"
	case "greatest", "least":
		return "math." + function
	default:
		return function
	}
}
