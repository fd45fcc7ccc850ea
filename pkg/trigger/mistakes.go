package trigger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
)

// Mistakes are all that is wrong with an expression.
type Mistakes []*Mistake

// Error returns the messages.
func (ms Mistakes) Error() string {
	messages := make([]string, len(ms))
	for i, m := range ms {
		messages[i] = m.Message
	}
	return strings.Join(messages, "; ")
}

const exampleHint = `write it as in "object.spec.replicas > 1"`

// syntaxMistakes returns the first error: what follows it is mostly its consequence.
func syntaxMistakes(source common.Source, errs []*cel.Error) Mistakes {
	if len(errs) == 0 {
		return Mistakes{{Message: "not a CEL expression"}}
	}
	first := slices.MinFunc(errs, func(a, b *cel.Error) int {
		return offset(source, a.Location) - offset(source, b.Location)
	})
	m := &Mistake{Offset: offset(source, first.Location)}
	message, _, _ := strings.Cut(strings.TrimPrefix(first.Message, "Syntax error: "), " expecting ") // a list of tokens
	m.Message, m.Hint = "not a CEL expression: "+grammar.Replace(message), syntaxHint(source.Content(), m.Offset, message)
	if quote, ok := strings.CutPrefix(message, "token recognition error at: '"); ok && (quote[0] == '"' || quote[0] == '\'') {
		m.Message = fmt.Sprintf("not a CEL expression: the text after %c is not closed", quote[0])
	}
	return Mistakes{m}
}

// syntaxHint knows what people write that is of other languages.
func syntaxHint(text string, at int, message string) string {
	rest := ""
	if runes := []rune(text); at < len(runes) {
		rest = string(runes[at:])
	}
	for _, other := range []struct{ theirs, hint string }{
		{"and ", "write &&"}, {"AND ", "write &&"}, {"or ", "write ||"}, {"OR ", "write ||"}, {"not ", "write !"},
		{"& ", "write &&"}, {"| ", "write ||"}, {"= ", "compare with =="}, {"=", "compare with =="},
	} {
		if strings.HasPrefix(rest, other.theirs) && (other.theirs != "=" || strings.Contains(message, "'=")) {
			return other.hint
		}
	}
	return ""
}

// grammar rewords what the parser says of its tokens.
var grammar = strings.NewReplacer(
	"mismatched input '<EOF>'", "it ends too early", "extraneous input", "unexpected", "mismatched input", "unexpected",
	"token recognition error at:", "unexpected", "no viable alternative at input", "unexpected", "'<EOF>'", "the end",
)

// typeMistakes returns all errors of the type check, in the order of their places.
func (l *Language) typeMistakes(source common.Source, parsed *cel.Ast, errs []*cel.Error) Mistakes {
	var ms Mistakes
	consequences := l.consequences(parsed.NativeRep().Expr())
	for _, e := range errs {
		m := &Mistake{Offset: offset(source, e.Location), Message: operatorNames.Replace(strings.TrimSuffix(e.Message, " (in container '')"))}
		name, ok := strings.CutPrefix(m.Message, "undeclared reference to ")
		switch name = strings.Trim(name, "'"); {
		case ok && consequences[e.ExprID]:
			continue
		case ok:
			l.unknown(m, name)
		}
		ms = append(ms, m)
	}
	slices.SortStableFunc(ms, func(a, b *Mistake) int { return a.Offset - b.Offset })
	return ms
}

// unknown says what is wrong with the name of no variable or function.
func (l *Language) unknown(m *Mistake, name string) {
	if usage, ok := macros[name]; ok {
		m.Message = fmt.Sprintf("%s() wants %s", name, usage.wants)
		m.Hint = "write it as in " + usage.example
		return
	}
	m.Message = "there is no variable or function " + name
	if slices.Contains([]string{"distinct", "flatten", "lists", "slice", "sort", "sortBy"}, name) { // of CEL's extension for lists
		m.Hint = "of lists there are all, exists, exists_one, filter, map, in, + and size: none makes more of a list than it is"
		return
	}
	m.Unknown, m.Known = name, l.names()
	m.Hint = "there are the variables object and oldObject, and the functions of CEL"
}

// macros are those whose calls stay calls where the number of arguments is wrong, and then look like unknown functions.
var macros = map[string]struct{ wants, example string }{
	"all":        {"a variable and an expression", "list.all(x, x > 0)"},
	"exists":     {"a variable and an expression", "list.exists(x, x > 0)"},
	"exists_one": {"a variable and an expression", "list.exists_one(x, x > 0)"},
	"existsOne":  {"a variable and an expression", "list.existsOne(x, x > 0)"},
	"filter":     {"a variable and an expression", "list.filter(x, x > 0)"},
	"map":        {"a variable and an expression", "list.map(x, x + 1)"},
	"has":        {"one field", "has(object.spec.replicas)"},
	"optMap":     {"a variable and an expression", "object.?spec.?replicas.optMap(x, x + 1)"},
	"optFlatMap": {"a variable and an expression", "object.?spec.optFlatMap(x, x.?replicas)"},
}

// consequences are the uses of names that a misspelt macro, or one with a wrong number of arguments, would have declared:
// what stands first in its parentheses. A function of a namespace that is not there is one too.
func (l *Language) consequences(e ast.Expr) map[int64]bool {
	found := map[int64]bool{}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || len(e.AsCall().Args()) == 0 || l.env.HasFunction(e.AsCall().FunctionName()) {
			return
		}
		args := e.AsCall().Args()
		if e.AsCall().IsMemberFunction() && e.AsCall().Target().Kind() == ast.IdentKind && e.AsCall().Target().AsIdent() == "lists" {
			found[e.ID()] = true // lists.range(): what is told is that there is no lists.
		}
		if !e.AsCall().IsMemberFunction() && !isMacro(e.AsCall().FunctionName()) || args[0].Kind() != ast.IdentKind {
			return
		}
		for _, arg := range args {
			ast.PreOrderVisit(arg, ast.NewExprVisitor(func(use ast.Expr) {
				if use.Kind() == ast.IdentKind && use.AsIdent() == args[0].AsIdent() {
					found[use.ID()] = true
				}
			}))
		}
	}))
	return found
}

func isMacro(name string) bool {
	_, ok := macros[name]
	return ok
}

// operatorNames writes the names that CEL's messages have for operators as expressions do.
var operatorNames = strings.NewReplacer(
	"'_&&_'", "&&", "'_||_'", "||", "'!_'", "!", "'-_'", "-", "'@in'", "in", "'_[_]'", "[]", "'_?_:_'", "?:",
	"'_==_'", "==", "'_!=_'", "!=", "'_<_'", "<", "'_<=_'", "<=", "'_>_'", ">", "'_>=_'", ">=",
	"'_+_'", "+", "'_-_'", "-", "'_*_'", "*", "'_/_'", "/", "'_%_'", "%",
)

// names returns those of all variables and functions that an expression can call by name.
func (l *Language) names() []string {
	all := []string{"object", "oldObject"}
	for name := range l.env.Functions() {
		if !strings.ContainsAny(name, "_@!") {
			all = append(all, name)
		}
	}
	for _, m := range l.env.Macros() {
		all = append(all, m.Function())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// offset returns a place in characters from the start of the text.
func offset(source common.Source, at common.Location) int {
	n, ok := source.LocationOffset(at)
	if !ok {
		return 0
	}
	return max(int(n), 0)
}
