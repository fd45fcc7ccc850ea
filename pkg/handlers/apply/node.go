package apply

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/expression"
)

// variables are what expressions name, by name.
type variables map[string]any

// node is a compiled part of a template. It is safe for concurrent use.
type node interface {
	// eval returns the value, which is the caller's own. present is false where an expression makes
	// no value, which leaves the key or the entry out.
	eval(ctx context.Context, vars variables) (value any, present bool, err error)
}

// evalError is an expression that has failed.
type evalError struct {
	at  string // the path in the child or status, for people
	of  *expression.Expression
	err error
}

// Error says which expression has failed, and why.
func (e *evalError) Error() string { return fmt.Sprintf("evaluating %s: %v", e.at, e.err) }

// Unwrap returns why.
func (e *evalError) Unwrap() error { return e.err }

// constant is a value without expressions.
type constant struct{ value any }

func (c constant) eval(context.Context, variables) (any, bool, error) {
	return runtime.DeepCopyJSONValue(c.value), true, nil
}

// single is an expression that is a whole value, which keeps its type.
type single struct {
	at string
	*expression.Expression
}

func (s single) eval(ctx context.Context, vars variables) (any, bool, error) {
	result, err := s.Eval(ctx, vars)
	if err != nil {
		return nil, false, &evalError{at: s.at, of: s.Expression, err: err}
	}
	value, present, err := expression.Value(result)
	if err != nil {
		return nil, false, &evalError{at: s.at, of: s.Expression, err: err}
	}
	return value, present, nil
}

// text is a string with expressions in it.
type text struct {
	at    string
	parts []textPart
}

type textPart struct {
	literal string
	*expression.Expression
}

func (t text) eval(ctx context.Context, vars variables) (any, bool, error) {
	var all []byte
	for _, part := range t.parts {
		if part.Expression == nil {
			all = append(all, part.literal...)
			continue
		}
		result, err := part.Eval(ctx, vars)
		if err != nil {
			return nil, false, &evalError{at: t.at, of: part.Expression, err: err}
		}
		word, err := expression.Text(result)
		if err != nil {
			return nil, false, &evalError{at: t.at, of: part.Expression, err: err}
		}
		all = append(all, word...)
	}
	return string(all), true, nil
}

// object is an object with expressions in it.
type object struct {
	keys   []string // sorted, so that of several failures always the same one is said
	values map[string]node
}

func (o object) eval(ctx context.Context, vars variables) (any, bool, error) {
	all := make(map[string]any, len(o.keys))
	for _, key := range o.keys {
		value, present, err := o.values[key].eval(ctx, vars)
		switch {
		case err != nil:
			return nil, false, err
		case present:
			all[key] = value
		}
	}
	return all, true, nil
}

// array is a list with expressions in it.
type array []node

func (a array) eval(ctx context.Context, vars variables) (any, bool, error) {
	all := make([]any, 0, len(a))
	for _, entry := range a {
		value, present, err := entry.eval(ctx, vars)
		switch {
		case err != nil:
			return nil, false, err
		case present:
			all = append(all, value)
		}
	}
	return all, true, nil
}

// sizeOf is about how many bytes a decoded JSON value has.
func sizeOf(value any) int {
	const each = 8 // of a number, a comma and the like
	size := each
	switch value := value.(type) {
	case string:
		size += len(value)
	case map[string]any:
		for key, entry := range value {
			size += len(key) + sizeOf(entry)
		}
	case []any:
		for _, entry := range value {
			size += sizeOf(entry)
		}
	}
	return size
}

// expressionsIn returns all expressions of a node.
func expressionsIn(n node) []*expression.Expression {
	switch n := n.(type) {
	case single:
		return []*expression.Expression{n.Expression}
	case nil:
	case generated:
		return expressionsIn(n.node)
	case text:
		var all []*expression.Expression
		for _, part := range n.parts {
			if part.Expression != nil {
				all = append(all, part.Expression)
			}
		}
		return all
	case object:
		var all []*expression.Expression
		for _, key := range n.keys {
			all = append(all, expressionsIn(n.values[key])...)
		}
		return all
	case array:
		var all []*expression.Expression
		for _, entry := range n {
			all = append(all, expressionsIn(entry)...)
		}
		return all
	}
	return nil
}

// names returns the names right below a variable that expressions read. whole is true when one
// reads the variable as a whole.
func names(of []*expression.Expression, variable string) (all []string, whole bool) {
	for _, e := range of {
		for _, read := range e.Reads() {
			switch {
			case read.Variable != variable:
			case len(read.Path) == 0:
				whole = true
			default:
				all = append(all, read.Path[0])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), whole
}
