package expression

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Condition is the compiled expression of a `where`. It is safe for concurrent use.
type Condition struct {
	expression *Expression
}

// The variables of a Condition.
const (
	objectVariable    = "object"
	oldObjectVariable = "oldObject"
)

// Condition compiles an expression that says whether a change of an object counts: of the variables
// object and oldObject it makes true or false. The kind may be empty: nothing is known of the
// variables then. The error for an expression with mistakes is a Mistakes.
func (l *Language) Condition(text string, kind schema.GroupVersionKind) (*Condition, error) {
	var object Type
	if kind.Kind != "" {
		object = OfKind(kind)
	}
	return l.ConditionOf(text, kind.Kind, object)
}

// ConditionOf is Condition for objects of which is known what object says. Messages call the kind
// by its name.
func (l *Language) ConditionOf(text, kind string, object Type) (*Condition, error) {
	scope := Scope{ofObject: true, kind: kind, Variables: map[string]Type{objectVariable: object, oldObjectVariable: object}}
	e, err := l.Compile(text, scope, WantBool())
	if err != nil {
		return nil, err
	}
	return &Condition{expression: e}, nil
}

// Text returns what the condition was compiled from, or "" for nil.
func (c *Condition) Text() string {
	if c == nil {
		return ""
	}
	return c.expression.Text()
}

// Reads returns what the expression reads of an object, old or new: everything at and below these
// paths, and nothing else. An empty path is the whole object.
func (c *Condition) Reads() []Path {
	reads := c.expression.Reads()
	paths := make([]Path, len(reads))
	for i, r := range reads {
		paths[i] = r.Path
	}
	return paths
}

// IsAboutChanges reports whether the expression names oldObject: then it says which changes count.
// Any other is about objects as they are, and says which of them count.
func (c *Condition) IsAboutChanges() bool { return c.expression.Names(oldObjectVariable) }

// Holds evaluates the expression: object is a decoded object, and so is old, or nil. It returns an
// error when the expression does not come to true or false: a field that it reads is not there, it
// costs or takes too much, ctx ends.
func (c *Condition) Holds(ctx context.Context, object, old map[string]any) (bool, error) {
	variables := map[string]any{objectVariable: object, oldObjectVariable: nil}
	if old != nil {
		variables[oldObjectVariable] = old
	}
	result, err := c.expression.Eval(ctx, variables)
	if err != nil {
		return false, fmt.Errorf("evaluating where: %w", err)
	}
	holds, ok := result.Value().(bool)
	if !ok {
		return false, errors.New("evaluating where: want true or false, have a value of type " + result.Type().TypeName())
	}
	return holds, nil
}
