package apply

import (
	"context"
	"slices"

	"kooperd.dev/kooperd/pkg/expression"
)

// generateWhen says what becomes of values that are generated, where a template is compiled.
type generateWhen int

const (
	generateNever generateWhen = iota // they are mistakes
	generateLater                     // they are left out
	generateNow
)

// generating is a compiler that looks for what is generated.
type generating struct{ *compiler }

// template compiles the template of a child that is made once: as it is known before,
// and, if there is something to generate, as it is made.
func (c generating) template(out *child, scope expression.Scope, at place) {
	c.generate, c.generates = generateLater, false
	defer func() { c.generate = generateNever }()
	out.template = c.compiler.template(out.Template, scope, at)
	if !c.generates || len(c.problems) > 0 {
		return
	}
	language, err := generatingLanguage()
	if err != nil {
		c.report(at.path, err.Error(), "")
		return
	}
	before := c.language
	defer func() { c.language = before }()
	c.language, c.generate = language, generateNow
	out.making = c.compiler.template(out.Template, scope, at)
}

// named are the places of what names an object.
var named = []string{"metadata", "metadata.name", "metadata.namespace"}

// later returns a node as it is evaluated before the object is created.
func (c generating) later(n node, at place) node {
	generates := slices.ContainsFunc(expressionsIn(n), func(e *expression.Expression) bool {
		return e != nil && len(e.Calls(generateNamespace)) > 0
	})
	switch {
	case !generates:
		return n
	case slices.Contains(named, at.name):
		c.report(at.path, "is generated, and the object is known by it", "make a name of what is known of the parent, as with name(…)")
	}
	c.generates = true
	if c.generate == generateNow {
		return n
	}
	return generated{n}
}

// check reports an expression that generates where nothing can be generated, and one that
// never can.
func (c generating) check(path string, offset int, e *expression.Expression) {
	calls := e.Calls(generateNamespace)
	switch {
	case len(calls) == 0:
		return
	case c.generate == generateNever:
		c.mistake(path, offset, &expression.Mistake{
			Offset: calls[0], Message: "makes another value each time, and this is evaluated again and again",
			Hint: `generate it in the template of a child with update: "createOnly", and read that child elsewhere`,
		})
	case len(e.Reads()) == 0: // It depends on nothing.
		//nolint:forbidigo // A check has no context, and the time of an evaluation is bounded.
		if _, err := e.Eval(context.Background(), nil); err != nil {
			c.mistake(path, offset, &expression.Mistake{Offset: calls[0], Message: err.Error()})
		}
	}
}
