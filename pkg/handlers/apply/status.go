package apply

import (
	"context"
	"fmt"
	"regexp"

	"kooperd.dev/kooperd/pkg/expression"
)

// status adds the status of the parent to the answer. What fails is left out, and is a problem of
// its own: the rest of the status does not suffer from it, and no child does.
func (e *evaluation) status(ctx context.Context) {
	if e.program.status == nil && len(e.program.conditions) == 0 {
		return
	}
	fields := map[string]any{}
	if e.program.status != nil {
		value, _ := e.known(ctx, e.program.status)
		if all, ok := value.(map[string]any); ok {
			fields = all
		}
	}
	var conditions []any
	for _, c := range e.program.conditions {
		conditions = append(conditions, e.condition(ctx, c))
	}
	if len(conditions) > 0 {
		fields["conditions"] = conditions
	}
	e.out.Status = fields
}

// known evaluates a template and leaves out what reads what is not there yet, and what fails.
func (e *evaluation) known(ctx context.Context, n node) (value any, present bool) {
	n2, ok := n.(object)
	if !ok {
		value, present, err := n.eval(ctx, e.vars)
		if err != nil {
			e.problem(err)
			return nil, false
		}
		return value, present
	}
	all := map[string]any{}
	for _, key := range n2.keys {
		if value, present := e.known(ctx, n2.values[key]); present {
			all[key] = value
		}
	}
	return all, true
}

// problem notes what is wrong with the status. What is not there yet is no problem.
func (e *evaluation) problem(err error) {
	if expression.IsAbsent(err) {
		e.out.StatusPending = append(e.out.StatusPending, err.Error())
		return
	}
	e.out.Problems = append(e.out.Problems, err.Error())
}

// reasonPattern is what the API server takes for the reason of a condition.
var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// condition evaluates a condition, which is Unknown while it reads what is not there yet, and when
// it fails.
func (e *evaluation) condition(ctx context.Context, c condition) map[string]any {
	at := "conditions." + c.name + "."
	out := map[string]any{"type": c.name, "status": "Unknown", "reason": "NotKnownYet", "message": ""}
	result, err := c.when.Eval(ctx, e.vars)
	if err != nil {
		e.problem(&evalError{at: at + "when", of: c.when, err: err})
		out["message"] = err.Error()
		return out
	}
	holds, ok := result.Value().(bool)
	if !ok {
		out["message"] = "when is no condition: it has a value of type " + result.Type().TypeName()
		e.out.Problems = append(e.out.Problems, at+"when: want true or false, have a value of type "+result.Type().TypeName())
		return out
	}
	out["status"], out["reason"] = "False", c.name
	if holds {
		out["status"] = "True"
	}
	if reason := e.text(ctx, c.reason); reason != "" && len(reason) <= 1024 && reasonPattern.MatchString(reason) {
		out["reason"] = reason
	} else if reason != "" {
		e.out.Problems = append(e.out.Problems, fmt.Sprintf("%sreason: %.60q is no word", at, reason))
	}
	out["message"] = e.text(ctx, c.message)
	return out
}

// text evaluates a text of a condition; "" without one.
func (e *evaluation) text(ctx context.Context, n node) string {
	if n == nil {
		return ""
	}
	value, present := e.known(ctx, n)
	if !present || value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
