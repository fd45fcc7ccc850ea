package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// Callable is what an expression can call.
type Callable struct {
	// Name is what it is called by, with its namespace, as in size and math.greatest; of an
	// operator its sign, as in + and ?:.
	Name string
	// Signatures are its ways to be called, such as "string.indexOf(string) → int"; none of a
	// macro. Single capital letters stand for any type, the same one at each place.
	Signatures []string
	// Arguments are the numbers of arguments that a macro takes, besides what it is called of; any
	// number when they are empty.
	Arguments []int

	IsMacro, IsOperator bool // a function is neither
}

// Callables returns all that expressions can call, sorted by name.
func (l *Language) Callables() []Callable {
	all := map[string]*Callable{}
	for name, f := range l.env.Functions() {
		called, isOperator := operatorSigns[name]
		if !isOperator {
			called = name
		}
		if strings.Contains(called, "@") || !isOperator && (strings.Contains(called, "_") || called == "in") {
			continue // of the insides of macros, and what the parser never makes
		}
		c := &Callable{Name: called, IsOperator: isOperator}
		for _, o := range f.OverloadDecls() {
			c.Signatures = append(c.Signatures, signature(called, isOperator, o.ArgTypes(), o.ResultType(), o.IsMemberFunction()))
		}
		if other, ok := all[called]; ok { // - has one operand or two.
			c.Signatures = append(c.Signatures, other.Signatures...)
			slices.Sort(c.Signatures)
		}
		all[called] = c
	}
	for _, m := range l.env.Macros() {
		name := macroName(m.Function())
		c, ok := all[name]
		if !ok {
			c = &Callable{Name: name, IsMacro: true}
			all[name] = c
		}
		if !strings.Contains(m.MacroKey(), ":*:") {
			c.Arguments = append(c.Arguments, m.ArgCount())
			slices.Sort(c.Arguments)
		}
	}
	var sorted []Callable
	for _, c := range all {
		c.Signatures = slices.Compact(c.Signatures)
		sorted = append(sorted, *c)
	}
	slices.SortFunc(sorted, func(a, b Callable) int { return strings.Compare(a.Name, b.Name) })
	return sorted
}

// operatorSigns are how operators are written, by their functions in CEL. Those that only the
// evaluation has are none.
var operatorSigns = map[string]string{
	operators.Conditional: "?:", operators.LogicalAnd: "&&", operators.LogicalOr: "||", operators.LogicalNot: "!",
	operators.Equals: "==", operators.NotEquals: "!=", operators.Less: "<", operators.LessEquals: "<=",
	operators.Greater: ">", operators.GreaterEquals: ">=", operators.In: "in",
	operators.Add: "+", operators.Subtract: "-", operators.Negate: "-", operators.Multiply: "*", operators.Divide: "/", operators.Modulo: "%",
	operators.Index: "[]", operators.OptIndex: "[?]", operators.OptSelect: ".?",
}

// signature is one way to call a function, or to write an operator.
func signature(name string, isOperator bool, args []*cel.Type, result *cel.Type, member bool) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = typeName(arg)
	}
	if isOperator && result.Kind() == types.BoolKind && !slices.ContainsFunc(args, isNoNumber) {
		words = []string{"number", "number"} // of any two types
	}
	made := " → " + typeName(result)
	switch {
	case name == "?:":
		return fmt.Sprintf("%s ? %s : %s%s", words[0], words[1], words[2], made)
	case name == "[]":
		return fmt.Sprintf("%s[%s]%s", words[0], words[1], made)
	case name == "[?]":
		return fmt.Sprintf("%s[?%s]%s", words[0], words[1], made)
	case name == ".?":
		return fmt.Sprintf("%s.?field%s", words[0], made)
	case isOperator && len(words) == 1:
		return name + words[0] + made
	case isOperator:
		return fmt.Sprintf("%s %s %s%s", words[0], name, words[1], made)
	case member:
		return fmt.Sprintf("%s.%s(%s)%s", words[0], name, strings.Join(words[1:], ", "), made)
	default:
		return fmt.Sprintf("%s(%s)%s", name, strings.Join(words, ", "), made)
	}
}

func isNoNumber(t *cel.Type) bool {
	return !slices.Contains([]types.Kind{types.IntKind, types.UintKind, types.DoubleKind}, t.Kind())
}

// typeName is what signatures call a type.
func typeName(t *cel.Type) string {
	parameters := make([]string, len(t.Parameters()))
	for i, p := range t.Parameters() {
		parameters[i] = typeName(p)
	}
	name := t.TypeName()
	switch {
	case t.Kind() == types.DynKind:
		return "any"
	case isOptional(t):
		name = "optional"
	case t.Kind() == types.TimestampKind:
		name = "timestamp"
	case t.Kind() == types.DurationKind:
		name = "duration"
	}
	if of, ok := ofKubernetes[name]; ok {
		name = of.short
	}
	if len(parameters) > 0 {
		name += "(" + strings.Join(parameters, ", ") + ")"
	}
	return name
}
