package trigger

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// costLimit is what one evaluation may cost at most, in CEL's own measure, in which reading a
	// field costs 1: a hundredth of a second to a tenth, but up to timeLimit over lists of many
	// thousand entries, as CEL's own account of the cost slows down with the rounds it has counted.
	// A Kubernetes API server grants an expression of an admission policy ten times as much, but
	// asks it once for a write, and not for every change.
	costLimit = 100_000
	// timeLimit is how long one evaluation may take, however slow the machine is.
	timeLimit = time.Second
	// interruptEvery is after how many rounds of a comprehension the time is looked at.
	interruptEvery = 100
)

// Language compiles expressions. It is safe for concurrent use. Making one takes longer than
// compiling an expression, so one serves all.
type Language struct {
	env       *cel.Env
	functions *checker.Env // the checker's part of env, without the variables
	names     []string     // of all that an expression can call by name
}

// NewLanguage returns the language of `where`: CEL with its macros and optional values, the
// extension for strings, and the variables object and oldObject, whose types are not known. CEL's
// extension for lists is left out: some of its functions take the square of a list's length, one
// makes a list of any length from a number, and nothing interrupts them.
func NewLanguage() (*Language, error) {
	env, err := cel.NewEnv(
		cel.Variable("object", cel.DynType),
		cel.Variable("oldObject", cel.DynType),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EnableMacroCallTracking(), // so that messages can repeat what was written
		ext.Strings(),
	)
	if err != nil {
		return nil, fmt.Errorf("making the CEL environment: %w", err)
	}
	if env, err = bounded(env); err != nil {
		return nil, err
	}
	functions, err := newFunctions(env)
	if err != nil {
		return nil, err
	}
	return &Language{env: env, functions: functions, names: namesOf(env)}, nil
}

// Condition is one compiled expression. It is safe for concurrent use.
type Condition struct {
	text    string
	written *ast.AST
	program cel.Program
	reads   []read
	changes bool // it names oldObject
}

// variableNames are the variables of every expression.
var variableNames = []string{"object", "oldObject"}

// Compile parses an expression and checks it against what is known of objects of a kind. The kind
// may be empty: nothing is known then. The error for an expression with mistakes is a Mistakes.
func (l *Language) Compile(text string, kind schema.GroupVersionKind) (*Condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, Mistakes{{Message: "is empty", Hint: exampleHint}}
	}
	source := common.NewTextSource(text)
	parsed, issues := l.env.ParseSource(source)
	if issues.Err() != nil {
		return nil, syntaxMistakes(source, issues.Errors())
	}
	known := &goTypes{Provider: l.env.CELTypeProvider(), named: map[string]reflect.Type{}}
	if kind.Kind != "" {
		known.root, known.whole = knownType(kind)
	}
	t, err := l.typeCheck(parsed.NativeRep(), source, known)
	if err != nil {
		return nil, err
	}
	read := reader{text: []rune(text), info: parsed.NativeRep().SourceInfo()}
	x := &explainer{
		wording:  wording{typed: *t, source: source, reader: read, written: nodesByID(ast.Copy(parsed.NativeRep()))},
		language: l, checked: nodesByID(t.tree), kind: kind.Kind,
	}
	mistakes := x.typeMistakes()
	if len(mistakes) == 0 {
		if m := x.result(); m != nil {
			return nil, Mistakes{m}
		}
	}
	c, err := l.program(text, parsed)
	if wrong := (Mistakes)(nil); errors.As(err, &wrong) && len(mistakes) > 0 {
		return nil, mistakes // The type check has said it better.
	} else if err != nil {
		return nil, err
	}
	for _, r := range c.reads {
		if m := dropped(known.root, r); m != nil {
			m.Message = kind.Kind + ": " + m.Message
			mistakes = append(mistakes, m)
		}
	}
	if len(mistakes) > 0 {
		return nil, read.once(mistakes)
	}
	return c, nil
}

// program makes what is evaluated, for which all values are dynamic.
func (l *Language) program(text string, parsed *cel.Ast) (*Condition, error) {
	written := ast.Copy(parsed.NativeRep())
	checked, issues := l.env.Check(parsed) // It changes what is parsed.
	if issues.Err() != nil {
		var ms Mistakes
		for _, e := range issues.Errors() {
			ms = append(ms, &Mistake{Offset: offset(parsed.Source(), e.Location), Message: operatorNames.Replace(e.Message)})
		}
		return nil, ms
	}
	program, err := l.env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostTracking(charges{}),
		cel.CostLimit(costLimit), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil, Mistakes{{Message: err.Error()}}
	}
	x := reader{text: []rune(text), info: checked.NativeRep().SourceInfo()}
	whole := checked.NativeRep().Expr()
	return &Condition{text: text, written: written, program: program, reads: x.within(whole, nil), changes: namesOld(whole, nil)}, nil
}

// Text returns what the condition was compiled from, or "" for nil.
func (c *Condition) Text() string {
	if c == nil {
		return ""
	}
	return c.text
}

// IsAboutChanges reports whether the expression names oldObject: then it says which changes count.
// Any other is about objects as they are, and says which of them count.
func (c *Condition) IsAboutChanges() bool { return c.changes }

// Holds evaluates the expression: object is a decoded object, and so is old, or nil. It returns an
// error when the expression does not come to true or false: a field that it reads is not there, it
// costs or takes too much, ctx ends.
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
		return false, c.failure(err)
	}
	holds, ok := result.Value().(bool)
	if !ok {
		return false, errors.New("evaluating where: want true or false, have a value of type " + result.Type().TypeName())
	}
	return holds, nil
}
