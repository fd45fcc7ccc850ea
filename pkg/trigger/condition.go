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
	// a second to a tenth, but up to timeLimit over lists of many thousand entries, as CEL's own account of the cost slows down
	// with the rounds it has counted. A Kubernetes API server grants an expression of an admission policy ten times as much, but asks
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

// NewLanguage returns the language of `where`: CEL with its macros and optional values, the extension for strings, and the
// variables object and oldObject, whose types are not known. CEL's extension for lists is left out: some of its functions take
// the square of a list's length, one makes a list of any length from a number, and nothing interrupts them.
func NewLanguage() (*Language, error) {
	env, err := cel.NewEnv(
		cel.Variable("object", cel.DynType),
		cel.Variable("oldObject", cel.DynType),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		ext.Strings(),
	)
	if err != nil {
		return nil, fmt.Errorf("making the CEL environment: %w", err)
	}
	if env, err = bounded(env); err != nil {
		return nil, err
	}
	return &Language{env: env}, nil
}

// Condition is one compiled expression. It is safe for concurrent use.
type Condition struct {
	text    string
	program cel.Program
	reads   []read
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
		return nil, l.typeMistakes(source, parsed, issues.Errors())
	}
	if t := checked.OutputType(); !slices.Contains([]string{cel.BoolType.String(), cel.DynType.String()}, t.String()) {
		return nil, Mistakes{{Message: fmt.Sprintf("want true or false, have a value of type %s", cel.FormatCELType(t)), Hint: exampleHint}}
	}
	program, err := l.env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostTracking(charges{}), cel.CostLimit(costLimit), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil, Mistakes{{Message: err.Error()}}
	}
	x := reader{text: []rune(text), info: checked.NativeRep().SourceInfo()}
	return &Condition{text: text, program: program, reads: x.all(checked.NativeRep().Expr())}, nil
}

// Text returns what the condition was compiled from, or "" for nil.
func (c *Condition) Text() string {
	if c == nil {
		return ""
	}
	return c.text
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
