package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
)

// withEntry returns the variables with an entry of forEach.
func withEntry(vars variables, as string, entry any) variables {
	all := make(variables, len(vars)+1)
	maps.Copy(all, vars)
	all[as] = entry
	return all
}

// keyOf returns the key of an entry, which stays the same when its place in the list changes.
func (c *child) keyOf(ctx context.Context, vars variables, entry any) (string, error) {
	if c.key == nil {
		key, ok := entry.(string)
		if !ok {
			return "", handlers.Terminal(fmt.Errorf("the entry of forEach is %s: say with key what it is known by", handlers.KindOfJSON(entry)))
		}
		return key, nil
	}
	value, _, err := c.key.eval(ctx, vars)
	if err != nil {
		return "", err
	}
	key, _ := value.(string)
	if key == "" {
		return "", handlers.Terminal(errors.New("evaluating key: it is empty"))
	}
	return key, nil
}

// readiness makes a readyWhen the Ready of a child. It is evaluated after Compose has returned, and
// not after the end of the call that ctx is of.
func readiness(ctx context.Context, ready *expression.Expression, vars variables) func(handlers.Object) (bool, string) {
	return func(o handlers.Object) (bool, string) {
		self, err := decoded(o)
		if err != nil {
			return false, err.Error()
		}
		result, err := ready.Eval(ctx, withEntry(vars, selfVariable, self))
		if err != nil {
			return false, "evaluating readyWhen: " + err.Error()
		}
		if holds, ok := result.Value().(bool); ok && holds {
			return true, ""
		}
		return false, "readyWhen is not true"
	}
}
