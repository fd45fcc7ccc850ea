package expression

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types/ref"
)

const (
	// costLimit is what one evaluation may cost at most, in CEL's own measure. Reading a field
	// costs 1. In time, the limit is a hundredth to a tenth of a second. It can be up to timeLimit
	// over lists of many thousand entries: CEL's account slows down with the rounds that it counts.
	// An API server grants an expression of an admission policy ten times as much. But it evaluates
	// that once for a write, and not for every change.
	costLimit = 100_000
	// timeLimit is how long one evaluation may take, however slow the machine is.
	timeLimit = time.Second
	// interruptEvery is after how many rounds of a comprehension the time is looked at.
	interruptEvery = 100
)

// Expression is a compiled one. It is safe for concurrent use.
type Expression struct {
	text    string
	written *ast.AST
	program cel.Program
	reads   []read
	named   []string // the variables that it has
	makes   Type
	secret  bool // values of Secrets are in the results
	loops   bool // it has macros that go over entries, so it can be interrupted

	variables []string // of the scope
}

// Read is what an expression reads of a variable: everything at and below a path. An empty path is
// the whole variable.
type Read struct {
	Variable string
	Path     Path
}

// Compile parses an expression and checks it against what is known of the variables, and what it
// makes against what is wanted. The error for an expression with mistakes is a Mistakes.
func (l *Language) Compile(text string, scope Scope, want Want) (*Expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, Mistakes{{Message: "is empty", Hint: exampleHint}}
	}
	if m := embraced(text); m != nil {
		return nil, Mistakes{m}
	}
	env, err := l.envOf(scope)
	if err != nil {
		return nil, err
	}
	source := common.NewTextSource(text)
	parsed, issues := env.ParseSource(source)
	if issues.Err() != nil {
		return nil, syntaxMistakes(source, issues.Errors())
	}
	t, err := l.typeCheck(parsed.NativeRep(), source, scope)
	if err != nil {
		return nil, err
	}
	read := reader{text: []rune(text), info: parsed.NativeRep().SourceInfo(), variables: scope.names(), ofObject: scope.ofObject}
	x := &explainer{
		wording:  wording{typed: *t, source: source, reader: read, written: nodesByID(ast.Copy(parsed.NativeRep()))},
		language: l, checked: nodesByID(t.tree), scope: scope,
	}
	mistakes := x.typeMistakes()
	if len(mistakes) == 0 && want.check != nil {
		if err := want.of(x, parsed.NativeRep()); err != nil {
			return nil, err
		}
	}
	if len(mistakes) == 0 && want.public != "" {
		if m := x.secretAt(want.public); m != nil {
			return nil, Mistakes{m}
		}
	}
	e, err := newExpression(env, text, parsed, read)
	if wrong := (Mistakes)(nil); errors.As(err, &wrong) && len(mistakes) > 0 {
		return nil, mistakes // The type check has said it better.
	} else if err != nil {
		return nil, err
	}
	e.makes = x.known(x.checked[x.tree.Expr().ID()])
	_, e.secret = flow{explainer: x}.source(x.tree.Expr())
	for _, r := range e.reads {
		if m := dropped(scope.Variables[r.variable], r); m != nil {
			m.Message = scope.prefix() + m.Message
			mistakes = append(mistakes, m)
		}
	}
	if len(mistakes) > 0 {
		return nil, read.once(mistakes)
	}
	return e, nil
}

// newExpression makes what is evaluated, for which all values are dynamic.
func newExpression(env *cel.Env, text string, parsed *cel.Ast, read reader) (*Expression, error) {
	written := ast.Copy(parsed.NativeRep())
	checked, issues := env.Check(parsed) // It changes what is parsed.
	if issues.Err() != nil {
		var ms Mistakes
		for _, e := range issues.Errors() {
			ms = append(ms, &Mistake{Offset: offset(parsed.Source(), e.Location), Message: operatorNames.Replace(e.Message)})
		}
		return nil, ms
	}
	options := append(boundedMatches(), cel.EvalOptions(cel.OptOptimize), cel.CostTracking(charges{}),
		cel.CostLimit(costLimit), cel.InterruptCheckFrequency(interruptEvery))
	program, err := env.Program(checked, options...)
	if err != nil {
		return nil, Mistakes{{Message: err.Error()}}
	}
	read.info = checked.NativeRep().SourceInfo()
	whole := checked.NativeRep().Expr()
	return &Expression{
		text: text, written: written, program: program, reads: read.within(whole, nil), named: read.named(whole, nil),
		variables: read.variables, loops: loops(whole),
	}, nil
}

// loops reports whether an expression goes over entries.
func loops(e ast.Expr) bool {
	found := false
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) { found = found || e.Kind() == ast.ComprehensionKind }))
	return found
}

// Text returns what the expression was compiled from, or "" for nil.
func (e *Expression) Text() string {
	if e == nil {
		return ""
	}
	return e.text
}

// Makes returns what is known of the results, nil for nothing.
func (e *Expression) Makes() Type { return e.makes }

// MakesSecret reports whether values of Secrets can be in the results, as far as that can be told
// from the expression. Whole Secrets do not count: Makes says so.
func (e *Expression) MakesSecret() bool { return e.secret }

// Reads returns what the expression reads of its variables, and nothing else.
func (e *Expression) Reads() []Read {
	reads := make([]Read, len(e.reads))
	for i, r := range e.reads {
		reads[i] = Read{Variable: r.variable, Path: slices.Clone(r.path)}
	}
	return reads
}

// Names reports whether the expression has a variable anywhere, also where it only asks whether
// that is null.
func (e *Expression) Names(variable string) bool { return slices.Contains(e.named, variable) }

// Eval evaluates the expression. The variables are decoded JSON by their names, which those of the
// Scope are among. It returns an error when a field that the expression reads is not there, it
// costs or takes too much, or ctx ends.
func (e *Expression) Eval(ctx context.Context, variables map[string]any) (ref.Val, error) {
	if e.loops { // Nothing interrupts any other.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeLimit)
		defer cancel()
	}
	result, _, err := e.program.ContextEval(ctx, variables)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return nil, e.failure(err)
	}
	return result, nil
}
