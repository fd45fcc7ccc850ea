package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
)

// newComposer makes the composer of a definition.
func newComposer(_ context.Context, env handlers.Env, c Config) (handlers.Composer, error) {
	p, problems, err := compile(&c, handlers.Kinds{Watched: env.Kind})
	switch {
	case err != nil:
		return nil, fmt.Errorf("compiling the templates: %w", err)
	case len(problems) > 0:
		return nil, fmt.Errorf("compiling the templates: %s: %s", problems[0].Path, problems[0].Message)
	}
	return composer{p}, nil
}

// check returns what is wrong with a config.
func check(c *Config, kinds handlers.Kinds) []handlers.Problem {
	_, problems, err := compile(c, kinds)
	if err != nil {
		return []handlers.Problem{{Message: err.Error(), Hint: "this is a mistake in kooperd"}}
	}
	return problems
}

// composer evaluates a program.
type composer struct{ program *program }

// Compose evaluates all templates for one parent.
func (c composer) Compose(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	e, err := newEvaluation(c.program, req)
	if err != nil {
		return handlers.Composition{}, err
	}
	for _, child := range c.program.children {
		if err := e.child(ctx, child); err != nil {
			return handlers.Composition{}, fmt.Errorf("%s: %w", child.at, err)
		}
	}
	if err := e.status(ctx); err != nil {
		return handlers.Composition{}, err
	}
	return e.out, ctx.Err()
}

// evaluation is what one call of Compose is about to answer.
type evaluation struct {
	program  *program
	req      handlers.ComposeRequest
	vars     variables
	children map[string]any // the variable; the children that are wanted and exist, as far as they are read
	wanted   map[string][]string
	excluded map[string]bool
	out      handlers.Composition
}

func newEvaluation(p *program, req handlers.ComposeRequest) (*evaluation, error) {
	object, err := decoded(req.Object)
	if err != nil {
		return nil, err
	}
	e := &evaluation{
		program: p, req: req, children: map[string]any{}, wanted: map[string][]string{}, excluded: map[string]bool{},
	}
	all := map[string]any{}
	for _, r := range p.related {
		if all[r.name], err = relatedValue(r, req.Related[r.name]); err != nil {
			return nil, err
		}
		if all[r.name] == nil {
			delete(all, r.name)
		}
	}
	e.vars = variables{objectVariable: object, childrenVariable: e.children, relatedVariable: all}
	return e, nil
}

// decoded returns an object as expressions see it.
func decoded(object handlers.Object) (map[string]any, error) {
	var into unstructured.Unstructured
	if err := object.Into(&into); err != nil {
		return nil, err
	}
	return into.Object, nil
}

// relatedValue returns a list of objects, or the one object, nil when it is not there.
func relatedValue(r related, objects []handlers.Object) (any, error) {
	all := make([]any, len(objects))
	for i, o := range objects {
		value, err := decoded(o)
		if err != nil {
			return nil, err
		}
		all[i] = value
	}
	if !r.one {
		return all, nil
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all[0], nil
}

// child adds a child, or those of its entries, to the answer.
func (e *evaluation) child(ctx context.Context, c *child) error {
	entries := []any{nil}
	if c.forEach != nil {
		value, _, err := single{at: "forEach", Expression: c.forEach}.eval(ctx, e.vars)
		if done, err := e.settle(c.name, err); done {
			return err
		}
		list, ok := value.([]any)
		if !ok {
			return handlers.Terminal(fmt.Errorf("evaluating forEach: want a list, have %s", kindOf(value)))
		}
		entries = list
	}
	seen := map[string]bool{}
	for i, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		vars, name := e.vars, c.name
		if c.forEach != nil {
			vars = withEntry(e.vars, c.as, entry)
			key, err := c.keyOf(ctx, vars, entry)
			if done, err := e.settle(c.name, err); done {
				if err != nil {
					return fmt.Errorf("entry %d: %w", i, err)
				}
				continue
			}
			if name = c.name + "/" + key; seen[name] {
				return handlers.Terminal(fmt.Errorf("two entries of forEach have the key %q", key))
			}
			seen[name] = true
		}
		if err := e.instance(ctx, c, name, vars); err != nil {
			return err
		}
	}
	if len(e.wanted[c.name]) == 0 {
		e.excluded[c.name] = true
	}
	return e.observe(c)
}

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
			return "", handlers.Terminal(fmt.Errorf("the entry of forEach is %s: say with key what it is known by", kindOf(entry)))
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

// instance adds one child to the answer.
func (e *evaluation) instance(ctx context.Context, c *child, name string, vars variables) error {
	if c.include != nil {
		result, err := c.include.Eval(ctx, vars)
		if err != nil {
			err = &evalError{at: "includeWhen", of: c.include, err: err}
		}
		if done, err := e.settle(name, err); done {
			return err
		}
		if included, ok := result.Value().(bool); !ok {
			return handlers.Terminal(fmt.Errorf("evaluating includeWhen: want true or false, have a value of type %s", result.Type().TypeName()))
		} else if !included {
			return nil
		}
	}
	value, present, err := c.template.eval(ctx, vars)
	if done, err := e.settle(name, err); done {
		return err
	}
	fields, ok := value.(map[string]any)
	if !ok || !present {
		return handlers.Terminal(errors.New("evaluating the template: it is no object"))
	}
	out := handlers.Child{Name: name, Object: &unstructured.Unstructured{Object: fields}, Policy: c.policy()}
	for _, other := range c.reads {
		out.After = append(out.After, e.wanted[other]...)
	}
	if c.forEach == nil {
		out.Formerly = c.Formerly
	}
	if c.ready != nil {
		out.Policy.Ready = readiness(ctx, c.ready, vars)
	}
	e.wanted[c.name] = append(e.wanted[c.name], name)
	e.out.Children = append(e.out.Children, out)
	return nil
}

// settle decides what follows from an error about a child. done is false without one. A child that
// reads another one which is not wanted is not wanted either, and one that reads what is not there
// yet is pending.
func (e *evaluation) settle(name string, err error) (done bool, failed error) {
	if err == nil {
		return false, nil
	}
	var eval *evalError
	if !errors.As(err, &eval) || !expression.IsAbsent(err) {
		return true, handlers.Terminal(err)
	}
	read, _ := names([]*expression.Expression{eval.of}, childrenVariable)
	for _, other := range read {
		if e.excluded[other] {
			return true, nil
		}
	}
	on := ""
	if related, _ := names([]*expression.Expression{eval.of}, relatedVariable); len(related) > 0 {
		on = "related " + related[0]
	}
	if len(read) > 0 {
		on = "child " + read[0]
	}
	if on == "" {
		return true, handlers.Terminal(err)
	}
	e.out.Pending = append(e.out.Pending, handlers.Pending{Name: name, On: on, Why: err.Error()})
	return true, nil
}

// observe shows a child to the expressions that come after it.
func (e *evaluation) observe(c *child) error {
	if !e.program.read[c.name] && !e.program.allRead {
		return nil
	}
	all := []any{}
	for _, name := range e.wanted[c.name] {
		object, ok := e.req.Children.Get(name)
		if !ok {
			continue
		}
		value, err := decoded(object)
		if err != nil {
			return err
		}
		all = append(all, value)
	}
	switch {
	case c.forEach != nil:
		e.children[c.name] = all
	case len(all) > 0:
		e.children[c.name] = all[0]
	}
	return nil
}

// readiness makes a readyWhen the Ready of a child. It is evaluated after Compose has returned.
func readiness(ctx context.Context, ready *expression.Expression, vars variables) func(handlers.Object) (bool, string) {
	ctx = context.WithoutCancel(ctx) // An evaluation has a limit to its time.
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

// kindOf says what decoded JSON is.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}
