package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
)

// Language compiles expressions. It is safe for concurrent use. Making one takes longer than
// compiling an expression, so one serves all.
type Language struct {
	env       *cel.Env     // without variables
	functions *checker.Env // the checker's part of env
	names     []string     // of all that an expression can call by name

	mu   sync.Mutex
	envs map[string]*cel.Env // with variables, by their names
}

// Function is a function that a language has besides those of CEL. It must cost little, whatever it
// is given.
type Function struct {
	Name    string
	Options []cel.FunctionOpt
}

// NewLanguage returns the language of all expressions: CEL with its macros and optional values, its
// extensions, and the libraries of Kubernetes. None of it knows the time or makes anything random.
// more are functions besides.
func NewLanguage(more ...Function) (*Language, error) {
	options := []cel.EnvOption{
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EnableMacroCallTracking(), // so that messages can repeat what was written
	}
	options = append(options, libraries()...)
	for _, f := range more {
		options = append(options, cel.Function(f.Name, f.Options...))
	}
	env, err := cel.NewEnv(options...)
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
	return &Language{env: env, functions: functions, names: namesOf(env), envs: map[string]*cel.Env{}}, nil
}

// Scope is what the expressions of one place can name.
type Scope struct {
	// Variables are by name. The names are identifiers.
	Variables map[string]Type
	// Secret are the names of variables that hold values of Secrets.
	Secret []string

	ofObject bool   // all variables are of one kind, and messages name paths without a variable
	kind     string // that kind, which stands before messages about fields; empty when not known
}

// names returns the names of the variables, sorted.
func (s Scope) names() []string { return slices.Sorted(maps.Keys(s.Variables)) }

// prefix is what stands before a message about a field.
func (s Scope) prefix() string {
	if s.kind == "" {
		return ""
	}
	return s.kind + ": "
}

// envOf returns the environment in which an expression is evaluated: all variables are dynamic.
func (l *Language) envOf(scope Scope) (*cel.Env, error) {
	names := scope.names()
	key := strings.Join(names, " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	if env, ok := l.envs[key]; ok {
		return env, nil
	}
	variables := make([]cel.EnvOption, len(names))
	for i, name := range names {
		variables[i] = cel.Variable(name, cel.DynType)
	}
	env, err := l.env.Extend(variables...)
	if err != nil {
		return nil, fmt.Errorf("declaring variables: %w", err)
	}
	l.envs[key] = env
	return env, nil
}
