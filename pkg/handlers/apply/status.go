package apply

import (
	"context"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
)

// status adds the status of the parent to the answer.
func (e *evaluation) status(ctx context.Context) error {
	if e.program.status == nil && len(e.program.conditions) == 0 {
		return nil
	}
	fields := map[string]any{}
	if e.program.status != nil {
		value, _, err := e.known(ctx, e.program.status)
		if err != nil {
			return handlers.Terminal(err)
		}
		if all, ok := value.(map[string]any); ok {
			fields = all
		}
	}
	var conditions []any
	for _, c := range e.program.conditions {
		condition, err := e.condition(ctx, c)
		if err != nil {
			return handlers.Terminal(err)
		}
		conditions = append(conditions, condition)
	}
	if len(conditions) > 0 {
		fields["conditions"] = conditions
	}
	e.out.Status = fields
	return nil
}

// known evaluates a template and leaves out what reads what is not there yet.
func (e *evaluation) known(ctx context.Context, n node) (any, bool, error) {
	switch n := n.(type) {
	case object:
		all := map[string]any{}
		for _, key := range n.keys {
			value, present, err := e.known(ctx, n.values[key])
			if err != nil {
				return nil, false, err
			}
			if present {
				all[key] = value
			}
		}
		return all, true, nil
	default:
		value, present, err := n.eval(ctx, e.vars)
		if err != nil && expression.IsAbsent(err) {
			return nil, false, nil
		}
		return value, present, err
	}
}

// condition evaluates a condition, which is Unknown while it reads what is not there yet.
func (e *evaluation) condition(ctx context.Context, c condition) (map[string]any, error) {
	out := map[string]any{"type": c.name, "status": "Unknown", "reason": c.name}
	result, err := c.when.Eval(ctx, e.vars)
	switch {
	case err != nil && expression.IsAbsent(err):
		out["reason"], out["message"] = "NotKnownYet", err.Error()
		return out, nil
	case err != nil:
		return nil, &evalError{at: "conditions." + c.name + ".when", of: c.when, err: err}
	}
	out["status"] = "False"
	if holds, ok := result.Value().(bool); ok && holds {
		out["status"] = "True"
	}
	for field, n := range map[string]node{"reason": c.reason, "message": c.message} {
		if n == nil {
			continue
		}
		value, present, err := e.known(ctx, n)
		if err != nil {
			return nil, err
		}
		if present {
			out[field] = value
		}
	}
	return out, nil
}
