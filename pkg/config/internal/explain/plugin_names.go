package explain

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/suggest"
)

// UnknownPlugin reports a key of a handler that names no plugin.
func (c *reporter) UnknownPlugin(at diagnostic.Path, pos diagnostic.Position) {
	if c.Has(at) {
		return
	}
	name := at.Last()
	hint := suggest.DidYouMean(name, c.Plugins.Names)
	if controllers := c.core.child("controllers"); hint == "" && controllers != nil {
		if def := controllers.anyName(); def != nil && (level{node: def}).knows(name) {
			hint = fmt.Sprintf("%q belongs in %s", name, at.Parent().Parent())
		}
	}
	for _, plugin := range c.Plugins.Names {
		if s := c.Plugins.Node(plugin); hint == "" && s != nil && (level{node: s}).knows(name) {
			hint = fmt.Sprintf("%q is a setting of the plugin %s", name, plugin)
		}
	}
	switch {
	case strings.HasSuffix(hint, "?"):
		hint += " "
	case hint != "":
		hint += "; "
	}
	c.Add(pos, at, fmt.Sprintf("no handler plugin named %s", diagnostic.Quote(name)),
		hint+"this binary has "+diagnostic.Listing(c.Plugins.Names, "and"))
}

// HandlerParts checks what the user's files say of a handler one by one, when all of it together is
// a conflict or has no single meaning. It reports keys that name no plugin and mistakes in the
// config of a plugin, and whether it found any.
func (c *Checker) HandlerParts(at diagnostic.Path, v cue.Value) bool {
	before, partial := len(c.Diags), c.partial
	c.partial = true
	for _, part := range Conjuncts(v) {
		part = Settled(part)
		pos, ok := c.Doc.Position(valuePos(part))
		it, err := part.Fields()
		if !ok || err != nil {
			continue
		}
		for it.Next() {
			name := it.Selector().Unquoted()
			if p, ok := c.Doc.Position(c.Doc.labelPos(it.Value())); ok {
				pos = p
			}
			switch s := c.Plugins.Node(name); {
			case !slices.Contains(c.Plugins.Names, name):
				c.UnknownPlugin(at.With(name), pos)
			case s != nil:
				c.Check(at.With(name), it.Value(), s)
			}
		}
	}
	c.partial = partial
	return len(c.Diags) > before
}
