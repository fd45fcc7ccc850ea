package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
)

// parentNamespace is the expression that is known without a parent to be its namespace.
const parentNamespace = "${object.metadata.namespace}"

// related is a compiled Related.
type related struct {
	name  string
	one   bool             // it is one object, not a list
	fixed handlers.Related // without what depends on the parent

	object, namespace *word // nil: as in fixed
	selector          *selectorTemplate
	values            map[string]word // of the selector, by the value in it
}

// varies reports whether what is read depends on the parent.
func (r related) varies() bool { return r.object != nil || r.namespace != nil || len(r.values) > 0 }

// fixedRelated is what is known of related objects without a parent: rights and watches follow from
// it.
func fixedRelated(name string, r Related) handlers.Related {
	fixed := handlers.Related{
		Name: name, APIVersion: r.APIVersion, Kind: r.Kind, SameNamespace: r.SameNamespace || r.Namespace == parentNamespace,
	}
	if segments, _ := parseText(r.Name); !hasExpressions(segments) {
		fixed.ObjectName = plainOf(segments)
	}
	if segments, _ := parseText(r.Namespace); !hasExpressions(segments) {
		fixed.Namespace = plainOf(segments)
	}
	if selector, m := parseSelector(r.LabelSelector); m == nil && selector != nil {
		fixed.LabelSelector = selector.fixed()
	}
	return fixed
}

// reads returns the related objects.
func reads(c Config) []handlers.Related {
	var all []handlers.Related
	for _, name := range sortedKeys(c.Related) {
		all = append(all, fixedRelated(name, c.Related[name]))
	}
	return all
}

// relatedCompiler compiles what is read besides. Of the variables, there is the parent alone.
type relatedCompiler struct {
	*compiler
	path   string
	kind   schema.GroupVersionKind
	parent expression.Scope
}

// related compiles what is read besides.
func (c *compiler) related(name string) related {
	r, path := c.config.Related[name], "related."+quoteLabel(name)
	of := relatedCompiler{
		compiler: c, path: path, kind: schema.FromAPIVersionAndKind(r.APIVersion, r.Kind),
		parent: expression.Scope{Variables: map[string]expression.Type{objectVariable: c.scope[objectVariable]}},
	}
	out := related{name: name, one: r.Name != "", fixed: fixedRelated(name, r)}
	out.object = of.name("name", r.Name, objectCheck{c}.validName(of.kind))
	out.namespace = of.name("namespace", r.Namespace, aLabelName)
	out.selector, out.values = of.selector(r.LabelSelector)
	objectCheck{c}.checkRelatedScope(path, r)
	return out
}

// name compiles the name of an object or of a namespace; nil for one without expressions.
func (c relatedCompiler) name(field, s string, rule nameRule) *word {
	if s == "" {
		return nil
	}
	at := place{path: c.path + "." + field, name: "metadata." + field, kind: c.kind, public: "the name of a related object"}
	segments, m := parseText(s)
	if m != nil {
		c.mistake(at.path, 0, m)
		return nil
	}
	want := expression.WantText()
	if len(segments) == 1 {
		want = expression.WantValue(field, expression.OfGo[string]())
	}
	out := word{path: at.path, at: field, wrong: rule.wrong, parts: c.parts(at, segments, want)}
	objectCheck{c.compiler}.checkText(s, segments, at)
	if !hasExpressions(segments) {
		return nil
	}
	return &out
}

// selector compiles a label selector, and its values that have expressions.
func (c relatedCompiler) selector(s string) (*selectorTemplate, map[string]word) {
	at := place{path: c.path + ".labelSelector", public: "the selector of related objects"}
	selector, m := parseSelector(s)
	if m != nil {
		c.mistake(at.path, 0, m)
	}
	if selector == nil {
		return nil, nil
	}
	values := map[string]word{}
	for _, value := range sortedKeys(selector.values) {
		parts := c.parts(at, selector.values[value], expression.WantText())
		values[value] = word{path: at.path, at: "labelSelector", wrong: wrongLabelValue, parts: parts}
	}
	return selector, values
}

// parts compiles the expressions of a text, in which there are no secrets.
func (c relatedCompiler) parts(at place, segments []segment, want expression.Want) []textPart {
	parts := make([]textPart, len(segments))
	for i, s := range segments {
		if !s.isExpression {
			parts[i].literal = s.literal
			continue
		}
		before := len(c.problems)
		parts[i].Expression = c.expression(at.path, s.expression, s.offset, c.parent, want.Public(at.public))
		for i := range c.problems[before:] {
			if p := &c.problems[before+i]; p.Unknown == childrenVariable || p.Unknown == relatedVariable {
				p.Message, p.Hint = p.Unknown+" cannot be read here", "what is read besides follows from the object alone"
				p.Unknown, p.Known = "", nil
			}
		}
	}
	return parts
}

// wrong says what is wrong with a name; empty for nothing.
func (r nameRule) wrong(name string) string {
	if len(name) > r.longest || !r.inside.MatchString(name) || len(r.whole(name)) > 0 {
		return fmt.Sprintf("it may have at most %d characters, %s", r.longest, r.words)
	}
	return ""
}

func wrongLabelValue(value string) string {
	if reasons := validation.IsValidLabelValue(value); len(reasons) > 0 {
		return "no label has such a value: " + reasons[0]
	}
	return ""
}

// word is a text with expressions that says which objects are read.
type word struct {
	path, at string // in the config, and for people
	parts    []textPart
	wrong    func(string) string // empty for nothing
}

// eval returns the text for a parent. It is not there when an expression makes no value.
func (w word) eval(ctx context.Context, vars variables) (all string, present bool, err error) {
	for _, part := range w.parts {
		if part.Expression == nil {
			all += part.literal
			continue
		}
		result, err := part.Eval(ctx, vars)
		if err == nil {
			_, present, err = expression.Value(result)
		}
		if err == nil && !present {
			return "", false, nil
		}
		var text string
		if err == nil {
			text, err = expression.Text(result)
		}
		if err != nil {
			return "", false, w.failed(ctx, &evalError{at: w.at, of: part.Expression, err: err})
		}
		all += text
	}
	if why := w.wrong(all); all != "" && why != "" {
		return "", false, w.failed(ctx, fmt.Errorf("evaluating %s: %.60q can never be right: %s", w.at, all, why)) //nolint:err113 // for a person
	}
	return all, true, nil
}

// failed is an error that stays until the parent changes, unless the time was over.
func (w word) failed(ctx context.Context, err error) error {
	if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		err = handlers.Terminal(err)
	}
	return &handlers.ConfigError{Path: w.path, Err: err}
}

// ask returns what is read for a parent. Without a value for what selects, nothing is: nothing is
// something else than anything.
func (r related) ask(ctx context.Context, vars variables) (asked handlers.Related, some bool, err error) {
	asked = r.fixed
	for _, part := range []struct {
		*word
		into *string
	}{{r.object, &asked.ObjectName}, {r.namespace, &asked.Namespace}} {
		if part.word == nil {
			continue
		}
		text, present, err := part.eval(ctx, vars)
		if err != nil || !present || text == "" {
			return handlers.Related{}, false, err
		}
		*part.into = text
	}
	values := make(map[string]string, len(r.values))
	for _, value := range sortedKeys(r.values) {
		text, present, err := r.values[value].eval(ctx, vars)
		if err != nil || !present {
			return handlers.Related{}, false, err
		}
		values[value] = text
	}
	if len(values) > 0 {
		asked.LabelSelector = r.selector.with(values)
	}
	return asked, true, nil
}

// relater is a composer for which it depends on the parent what it reads besides.
type relater struct{ composer }

// relates reports whether a program needs one.
func (p *program) relates() bool { return slices.ContainsFunc(p.related, related.varies) }

// Relate returns what is read for one parent.
func (r relater) Relate(ctx context.Context, parent handlers.Object) ([]handlers.Related, error) {
	object, err := decoded(parent)
	if err != nil {
		return nil, err
	}
	vars := variables{objectVariable: object}
	var all []handlers.Related
	for _, related := range r.program.related {
		asked, some, err := related.ask(ctx, vars)
		switch {
		case err != nil:
			return nil, fmt.Errorf("related %s: %w", related.name, err)
		case some:
			all = append(all, asked)
		}
	}
	return all, nil
}

// awaitedRelated names what is waited for, with the object that the parent names.
func (e *evaluation) awaitedRelated(ctx context.Context, name string) string {
	i := slices.IndexFunc(e.program.related, func(r related) bool { return r.name == name && r.one && r.varies() })
	if i < 0 {
		return "related " + name
	}
	switch asked, some, err := e.program.related[i].ask(ctx, e.vars); {
	case err != nil:
		return "related " + name
	case !some:
		return fmt.Sprintf("related %s (the object names none)", name)
	case asked.Namespace != "":
		return fmt.Sprintf("related %s (%s %s/%s)", name, asked.Kind, asked.Namespace, asked.ObjectName)
	default:
		return fmt.Sprintf("related %s (%s %s)", name, asked.Kind, asked.ObjectName)
	}
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
	switch {
	case !r.one:
		return all, nil
	case len(all) == 0:
		return nil, nil
	case len(all) > 1:
		return nil, handlers.Terminal(fmt.Errorf("related %s: there are %d objects of that name: say in which namespace", r.name, len(all)))
	}
	return all[0], nil
}
