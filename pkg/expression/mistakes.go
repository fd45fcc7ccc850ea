package expression

import (
	"fmt"
	"regexp"
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

// embraced is a mistake where a text is written as one with expressions in it, and is one itself.
func embraced(text string) *Mistake {
	inner, begins := strings.CutPrefix(strings.TrimSpace(text), "${")
	inner, ends := strings.CutSuffix(inner, "}")
	if !begins || !ends {
		return nil
	}
	return &Mistake{Message: "an expression stands here without ${ and }", Hint: "write " + strings.TrimSpace(inner)}
}

// syntaxMistakes returns the errors of the parser, but for those that follow from the one before:
// it loses its way at an error, and finds it again at the next && or ||.
func syntaxMistakes(source common.Source, errs []*cel.Error) Mistakes {
	sorted := slices.SortedStableFunc(slices.Values(errs), func(a, b *cel.Error) int {
		return offset(source, a.Location) - offset(source, b.Location)
	})
	text := []rune(source.Content())
	var ms Mistakes
	for _, e := range sorted {
		at := min(offset(source, e.Location), len(text))
		if len(ms) > 0 {
			between := string(text[min(ms[len(ms)-1].Offset, at):at])
			if !strings.Contains(between, "&&") && !strings.Contains(between, "||") {
				continue
			}
		}
		m := syntaxMistake(source.Content(), at, e)
		ms = append(ms, m)
		if strings.HasSuffix(m.Message, notClosed) { // All that follows is in the text.
			break
		}
	}
	if len(ms) == 0 {
		return Mistakes{{Message: "not a CEL expression"}}
	}
	return ms
}

const notClosed = " is not closed"

func syntaxMistake(text string, at int, e *cel.Error) *Mistake {
	m := &Mistake{Offset: at}
	message, _, _ := strings.Cut(strings.TrimPrefix(e.Message, "Syntax error: "), " expecting ") // a list of tokens
	m.Message, m.Hint = "not a CEL expression: "+grammar.Replace(message), syntaxHint(text, at, message)
	if quote, ok := strings.CutPrefix(message, "token recognition error at: '"); ok && (quote[0] == '"' || quote[0] == '\'') {
		m.Message = fmt.Sprintf("not a CEL expression: the text after %c%s", quote[0], notClosed)
	}
	return m
}

// syntaxHint knows what people write that is of other languages.
func syntaxHint(text string, at int, message string) string {
	rest, before := "", text
	if runes := []rune(text); at < len(runes) {
		rest, before = string(runes[at:]), string(runes[:at])
	}
	for _, name := range reserved {
		if path := strings.TrimSuffix(before, "."); (path != before && strings.HasPrefix(rest, name) ||
			strings.HasPrefix(rest, "."+name)) && strings.Contains(message, name) {
			return fmt.Sprintf("a field of this name stands in brackets: %s[%q]", ending.FindString(path), name)
		}
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

// ending is the path at the end of a text.
var ending = regexp.MustCompile(`[\w.?]*$`)

// grammar rewords what the parser says of its tokens.
var grammar = strings.NewReplacer(
	"mismatched input '<EOF>'", "it ends too early", "extraneous input", "unexpected", "mismatched input", "unexpected",
	"token recognition error at:", "unexpected", "no viable alternative at input", "unexpected", "'<EOF>'", "the end",
)

// enumerated writes names as a sentence does.
func enumerated(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

// consequences are the uses of names that a misspelt macro, or one with a wrong number of
// arguments, would have declared: what stands first in its parentheses. A function of a namespace
// that is not there is one too.
func (l *Language) consequences(e ast.Expr) map[int64]bool {
	found := map[int64]bool{}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || len(e.AsCall().Args()) == 0 || l.env.HasFunction(e.AsCall().FunctionName()) {
			return
		}
		args := e.AsCall().Args()
		if !e.AsCall().IsMemberFunction() && !isMacro(e.AsCall().FunctionName()) || args[0].Kind() != ast.IdentKind {
			return
		}
		var declared []string
		for _, arg := range args[:max(1, len(args)-1)] {
			declared = append(declared, arg.AsIdent())
		}
		for _, arg := range args {
			ast.PreOrderVisit(arg, ast.NewExprVisitor(func(use ast.Expr) {
				if use.Kind() == ast.IdentKind && slices.Contains(declared, use.AsIdent()) {
					found[use.ID()] = true
				}
			}))
		}
	}))
	return found
}

// operatorNames writes the names that CEL's messages have for operators as expressions do.
var operatorNames = strings.NewReplacer(
	"'_&&_'", "&&", "'_||_'", "||", "'!_'", "!", "'-_'", "-", "'@in'", "in", "'_[_]'", "[]", "'_?_:_'", "?:",
	"'_==_'", "==", "'_!=_'", "!=", "'_<_'", "<", "'_<=_'", "<=", "'_>_'", ">", "'_>=_'", ">=",
	"'_+_'", "+", "'_-_'", "-", "'_*_'", "*", "'_/_'", "/", "'_%_'", "%",
)

// namesOf returns the names of all functions that an expression can call by name.
func namesOf(env *cel.Env) []string {
	var all []string
	for name := range env.Functions() {
		if !strings.ContainsAny(name, "_@!") {
			all = append(all, name)
		}
	}
	for _, m := range env.Macros() {
		all = append(all, macroName(m.Function()))
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
