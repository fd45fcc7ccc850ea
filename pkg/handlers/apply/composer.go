package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	if p.relates() {
		return relater{composer{p}}, nil
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
			return handlers.Composition{}, &handlers.ConfigError{Path: pathOf(child, err), Err: fmt.Errorf("%s: %w", child.at, err)}
		}
	}
	e.status(ctx)
	return e.out, ctx.Err()
}

// pathOf is where in the config an error about a child comes from, as far as that is known.
func pathOf(c *child, err error) string {
	path := "children." + quoteLabel(c.name)
	var eval *evalError
	switch {
	case !errors.As(err, &eval):
		return path
	case slices.Contains([]string{"forEach", "key", "includeWhen", "readyWhen"}, eval.at):
		return path + "." + eval.at
	default:
		_, field := c.body()
		return path + "." + field + "." + eval.at
	}
}

// evaluation is what one call of Compose is about to answer.
type evaluation struct {
	program  *program
	vars     variables
	children map[string]any             // the variable; those that are wanted and exist, as far as they are read
	existing map[string]handlers.Object // what exists, by name
	wanted   map[string][]string        // the names of what is wanted, by child
	pending  map[string]bool            // children of which some cannot be told yet
	excluded map[string]bool            // children that are known not to be wanted
	size     int                        // of all that forEach has made, in bytes
	out      handlers.Composition
}

func newEvaluation(p *program, req handlers.ComposeRequest) (*evaluation, error) {
	object, err := decoded(req.Object)
	if err != nil {
		return nil, err
	}
	e := &evaluation{
		program: p, children: map[string]any{}, wanted: map[string][]string{},
		pending: map[string]bool{}, excluded: map[string]bool{}, existing: make(map[string]handlers.Object, len(req.Children)),
	}
	for _, child := range req.Children {
		if _, ok := e.existing[child.Name]; !ok { // Of one name, the newest comes first.
			e.existing[child.Name] = child.Object
		}
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

// mostEntries is how many children a forEach may make for one parent.
const mostEntries = 5000

// mostSize is how many bytes all objects may have together that forEach makes for one parent. It
// multiplies what a parent says by what it says.
const mostSize = 64 << 20

// child adds a child, or those of its entries, to the answer.
func (e *evaluation) child(ctx context.Context, c *child) error {
	before := len(e.out.Pending)
	if err := e.instances(ctx, c); err != nil {
		return err
	}
	switch {
	case len(e.out.Pending) > before:
		e.pending[c.name] = true
	case len(e.wanted[c.name]) == 0:
		e.excluded[c.name] = true
	}
	return e.observe(c)
}

// instances adds what is wanted of a child to the answer.
func (e *evaluation) instances(ctx context.Context, c *child) error {
	if other, why := e.awaited(c); other != "" {
		e.wait(c.name, "child "+other, why)
		return nil
	}
	after := e.after(c)
	if c.forEach == nil {
		return e.instance(ctx, c, c.name, e.vars, after)
	}
	value, _, err := single{at: "forEach", Expression: c.forEach}.eval(ctx, e.vars)
	if done, err := e.settle(ctx, c.name, err); done {
		return err
	}
	entries, ok := value.([]any)
	switch {
	case !ok:
		return handlers.Terminal(fmt.Errorf("evaluating forEach: want a list, have %s", handlers.KindOfJSON(value)))
	case len(entries) > mostEntries:
		return handlers.Terminal(fmt.Errorf("evaluating forEach: the list has %d entries, and may have %d", len(entries), mostEntries))
	}
	seen := map[string]bool{}
	for i, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		vars := withEntry(e.vars, c.as, entry)
		key, err := c.keyOf(ctx, vars, entry)
		if done, err := e.settle(ctx, c.name, err); done {
			if err != nil {
				return fmt.Errorf("entry %d: %w", i, err)
			}
			continue
		}
		if seen[key] {
			return handlers.Terminal(fmt.Errorf("two entries of forEach have the key %q", key))
		}
		seen[key] = true
		if err := e.instance(ctx, c, c.name+"/"+key, vars, after); err != nil {
			return err
		}
	}
	return nil
}

// awaited returns a child without which it cannot be told what is wanted of another one, and why:
// one that the other comes after and that is pending, and one that decides how many there are, of
// which not all exist yet. What does not exist for a moment must not look like what is not wanted.
func (e *evaluation) awaited(c *child) (other, why string) {
	for _, other := range c.reads {
		if e.pending[other] {
			return other, "it is not known yet"
		}
	}
	for _, other := range c.counts {
		existing := 0
		for _, name := range e.wanted[other] {
			if _, ok := e.existing[name]; ok {
				existing++
			}
		}
		if wanted := len(e.wanted[other]); existing < wanted {
			return other, fmt.Sprintf("%d of %d exist", existing, wanted)
		}
	}
	return "", ""
}

// wait notes that a child cannot be told yet.
func (e *evaluation) wait(name, on, why string) {
	e.out.Pending = append(e.out.Pending, handlers.Pending{Name: name, On: on, Why: why})
}

// after returns the names of the children that come before a child. All its instances share them.
func (e *evaluation) after(c *child) []string {
	var all []string
	for _, other := range c.reads {
		all = append(all, e.wanted[other]...)
	}
	return slices.Clip(all)
}

// instance adds one child to the answer.
func (e *evaluation) instance(ctx context.Context, c *child, name string, vars variables, after []string) error {
	if c.include != nil {
		result, err := c.include.Eval(ctx, vars)
		if err != nil {
			err = &evalError{at: "includeWhen", of: c.include, err: err}
		}
		if done, err := e.settle(ctx, name, err); done {
			return err
		}
		if included, ok := result.Value().(bool); !ok {
			return handlers.Terminal(fmt.Errorf("evaluating includeWhen: want true or false, have a value of type %s", result.Type().TypeName()))
		} else if !included {
			return nil
		}
	}
	value, present, err := c.template.eval(ctx, vars)
	if done, err := e.settle(ctx, name, err); done {
		return err
	}
	fields, ok := value.(map[string]any)
	if !ok || !present {
		return handlers.Terminal(errors.New("evaluating the template: it is no object"))
	}
	if c.forEach != nil {
		if e.size += sizeOf(fields); e.size > mostSize {
			return handlers.Terminal(fmt.Errorf("the objects of forEach have more than %d MiB together", mostSize>>20))
		}
	}
	object := &unstructured.Unstructured{Object: fields}
	if c.isPatch() {
		e.out.Patches = append(e.out.Patches, handlers.Patch{Name: name, Object: object, After: after})
		return nil
	}
	out := handlers.Child{Name: name, Object: object, After: after, Policy: c.ChildPolicy()}
	if c.forEach == nil {
		out.Formerly = c.Formerly
	}
	if c.making != nil {
		out.Generate = generation(c.making, vars)
	}
	if c.ready != nil {
		out.Policy.Ready = readiness(ctx, c.ready, vars)
	}
	e.wanted[c.name] = append(e.wanted[c.name], name)
	e.out.Children = append(e.out.Children, out)
	return nil
}

// settle decides what follows from an error about a child; done is false without one. What reads a
// child that is known not to be wanted is not wanted either. What reads what is not there yet, or
// may not be, is pending. Anything else is an error that stays until something changes, unless the
// time was over.
func (e *evaluation) settle(ctx context.Context, name string, err error) (done bool, failed error) {
	switch {
	case err == nil:
		return false, nil
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded): // It may go well the next time.
		return true, err
	}
	var eval *evalError
	if !errors.As(err, &eval) || !expression.IsAbsent(err) {
		return true, handlers.Terminal(err)
	}
	missing, known := eval.of.Missing(err)
	if !known {
		read, _ := names([]*expression.Expression{eval.of}, childrenVariable)
		related, _ := names([]*expression.Expression{eval.of}, relatedVariable)
		switch {
		case len(read) > 0:
			missing = expression.Read{Variable: childrenVariable, Path: read}
		case len(related) > 0:
			missing = expression.Read{Variable: relatedVariable, Path: related}
		}
	}
	switch {
	case known && missing.Variable == childrenVariable && len(missing.Path) == 1 && e.excluded[missing.Path[0]]:
		return true, nil
	case missing.Variable == childrenVariable:
		e.wait(name, "child "+missing.Path[0], err.Error())
	case missing.Variable == relatedVariable:
		e.wait(name, e.awaitedRelated(ctx, missing.Path[0]), err.Error())
	default:
		return true, handlers.Terminal(err)
	}
	return true, nil
}

// observe shows a child to the expressions that come after it.
func (e *evaluation) observe(c *child) error {
	if c.isPatch() || !e.program.read[c.name] && !e.program.allRead {
		return nil
	}
	all := []any{}
	for _, name := range e.wanted[c.name] {
		object, ok := e.existing[name]
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
