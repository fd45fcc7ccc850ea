package trigger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/ext"
)

const (
	// costLimit is what one evaluation may cost at most, in CEL's own measure, in which reading a field costs 1: a hundredth of
	// a second to a tenth. A Kubernetes API server grants an expression of an admission policy ten times as much, but asks
	// it once for a write, and not for every change that anybody makes.
	costLimit = 100_000
	// timeLimit is how long one evaluation may take, however slow the machine is.
	timeLimit = time.Second
	// interruptEvery is after how many rounds of a comprehension the time is looked at.
	interruptEvery = 100
)

// Language compiles expressions. It is safe for concurrent use. Making one takes longer than compiling an expression, so one
// serves all.
type Language struct {
	env *cel.Env
}

// NewLanguage returns the language of `where`: CEL with its macros and optional values, the strings and lists extensions,
// and the variables object and oldObject, whose types are not known.
func NewLanguage() (*Language, error) {
	env, err := cel.NewEnv(
		cel.Variable("object", cel.DynType),
		cel.Variable("oldObject", cel.DynType),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		ext.Strings(),
		ext.Lists(),
	)
	if err != nil {
		return nil, fmt.Errorf("making the CEL environment: %w", err)
	}
	return &Language{env: env}, nil
}

// Condition is one compiled expression. It is safe for concurrent use.
type Condition struct {
	program cel.Program
	reads   []read
}

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

// Compile parses and type-checks an expression. The error for one with mistakes is a Mistakes.
func (l *Language) Compile(text string) (*Condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, Mistakes{{Message: "is empty", Hint: exampleHint}}
	}
	source := common.NewTextSource(text)
	parsed, issues := l.env.ParseSource(source)
	if err := issues.Err(); err != nil {
		return nil, syntaxMistakes(source, issues.Errors())
	}
	checked, issues := l.env.Check(parsed)
	if err := issues.Err(); err != nil {
		return nil, l.typeMistakes(source, issues.Errors())
	}
	if t := checked.OutputType(); !slices.Contains([]string{cel.BoolType.String(), cel.DynType.String()}, t.String()) {
		return nil, Mistakes{{Message: fmt.Sprintf("want true or false, have a value of type %s", cel.FormatCELType(t)), Hint: exampleHint}}
	}
	program, err := l.env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil, Mistakes{{Message: err.Error()}}
	}
	x := reader{text: []rune(text), info: checked.NativeRep().SourceInfo()}
	return &Condition{program: program, reads: x.all(checked.NativeRep().Expr())}, nil
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
	if strings.HasPrefix(message, "token recognition error at: '=") {
		m.Hint = "compare with =="
	}
	m.Message = "not a CEL expression: " + grammar.Replace(message)
	return Mistakes{m}
}

// grammar rewords what the parser says of its tokens.
var grammar = strings.NewReplacer(
	"mismatched input '<EOF>'", "it ends too early", "extraneous input", "unexpected", "mismatched input", "unexpected",
	"token recognition error at:", "unexpected", "no viable alternative at input", "unexpected", "'<EOF>'", "the end",
)

// typeMistakes returns all errors of the type check, in the order of their places.
func (l *Language) typeMistakes(source common.Source, errs []*cel.Error) Mistakes {
	var ms Mistakes
	for _, e := range errs {
		m := &Mistake{Offset: offset(source, e.Location), Message: operatorNames.Replace(strings.TrimSuffix(e.Message, " (in container '')"))}
		if name, ok := strings.CutPrefix(m.Message, "undeclared reference to "); ok {
			m.Unknown, m.Known = strings.Trim(name, "'"), l.names()
			m.Message = fmt.Sprintf("there is no variable or function %s", m.Unknown)
			m.Hint = "there are the variables object and oldObject, and the functions of CEL"
		}
		ms = append(ms, m)
	}
	slices.SortStableFunc(ms, func(a, b *Mistake) int { return a.Offset - b.Offset })
	return ms
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

// Holds evaluates the expression: object is a decoded object, and so is old, or nil. It returns an error when the expression
// does not come to true or false: a field that it reads is not there, it costs or takes too much, ctx ends.
func (c *Condition) Holds(ctx context.Context, object, old map[string]any) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	variables := map[string]any{"object": object, "oldObject": nil}
	if old != nil {
		variables["oldObject"] = old
	}
	result, _, err := c.program.ContextEval(ctx, variables)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return false, fmt.Errorf("evaluating where: %w", err)
	}
	holds, ok := result.Value().(bool)
	if !ok {
		return false, errors.New("evaluating where: want true or false, have a value of type " + result.Type().TypeName())
	}
	return holds, nil
}
