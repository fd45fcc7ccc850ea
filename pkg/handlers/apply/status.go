package apply

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"kooperd.dev/kooperd/pkg/expression"
)

// lateInterval is after how long a status is composed again of which something took too long.
const lateInterval = 10 * time.Second

// status adds the status of the parent to the answer. What fails is left out, and is a problem of
// its own: the rest of the status does not suffer from it, and no child does. What takes too long
// stays as it was, and is tried again.
func (e *evaluation) status(ctx context.Context) {
	if e.program.status == nil && len(e.program.conditions) == 0 {
		return
	}
	fields := map[string]any{}
	before, _ := e.vars[objectVariable].(map[string]any)["status"].(map[string]any)
	if e.program.status != nil {
		value, _ := e.known(ctx, e.program.status, before)
		if all, ok := value.(map[string]any); ok {
			fields = all
		}
	}
	var conditions []any
	for _, c := range e.program.conditions {
		conditions = append(conditions, e.condition(ctx, c, conditionOf(before, c.name)))
	}
	if len(conditions) > 0 {
		fields["conditions"] = conditions
	}
	e.out.Status = fields
}

// conditionOf returns a condition of a status; nil if there is none.
func conditionOf(status map[string]any, name string) map[string]any {
	conditions, _ := status["conditions"].([]any)
	for _, entry := range conditions {
		if c, ok := entry.(map[string]any); ok && c["type"] == name {
			return c
		}
	}
	return nil
}

// known evaluates a template and leaves out what reads what is not there yet, and what fails. What
// takes too long is as it was before; nil for nothing.
func (e *evaluation) known(ctx context.Context, n node, before any) (value any, present bool) {
	n2, ok := n.(object)
	if !ok {
		value, present, err := n.eval(ctx, e.vars)
		if err != nil {
			late := e.problem(err)
			return before, late && before != nil
		}
		return value, present
	}
	all := map[string]any{}
	was, _ := before.(map[string]any)
	for _, key := range n2.keys {
		if value, present := e.known(ctx, n2.values[key], was[key]); present {
			all[key] = value
		}
	}
	return all, true
}

// problem notes what is wrong with the status. What is not there yet is no problem. It reports
// whether it took too long, which may go well the next time.
func (e *evaluation) problem(err error) (late bool) {
	if late = errors.Is(err, context.DeadlineExceeded); late {
		e.out.RequeueAfter = lateInterval
	}
	if expression.IsAbsent(err) {
		e.out.StatusPending = append(e.out.StatusPending, err.Error())
	} else {
		e.out.Problems = append(e.out.Problems, err.Error())
	}
	return late
}

// reasonPattern is what the API server takes for the reason of a condition.
var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// condition evaluates a condition, which is Unknown while it reads what is not there yet, and when
// it fails. If it takes too long, it is as it was before.
func (e *evaluation) condition(ctx context.Context, c condition, before map[string]any) map[string]any {
	at := "conditions." + c.name + "."
	out := map[string]any{"type": c.name, "status": "Unknown", "reason": "NotKnownYet", "message": ""}
	result, err := c.when.Eval(ctx, e.vars)
	if err != nil {
		if late := e.problem(&evalError{at: at + "when", of: c.when, err: err}); late && before != nil {
			for _, key := range []string{"status", "reason", "message"} {
				out[key] = before[key]
			}
			return out
		}
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
	if reason := e.text(ctx, c.reason, before["reason"]); reason != "" && len(reason) <= 1024 && reasonPattern.MatchString(reason) {
		out["reason"] = reason
	} else if reason != "" {
		e.out.Problems = append(e.out.Problems, fmt.Sprintf("%sreason: %.60q is no word", at, reason))
	}
	out["message"] = e.text(ctx, c.message, before["message"])
	return out
}

// text evaluates a text of a condition; "" without one.
func (e *evaluation) text(ctx context.Context, n node, before any) string {
	if n == nil {
		return ""
	}
	value, present := e.known(ctx, n, before)
	if !present || value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
