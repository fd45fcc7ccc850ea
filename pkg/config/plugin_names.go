package config

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
)

// unknownPlugin reports a key of a handler that names no plugin.
func (c *checker) unknownPlugin(at path, pos Position) {
	if c.reported[at.key()] {
		return
	}
	name := at.last()
	hint := didYouMean(name, c.plugins)
	if controllers := c.core.child("controllers"); hint == "" && controllers != nil {
		if def := controllers.anyName(); def != nil && (level{node: def}).knows(name) {
			hint = fmt.Sprintf("%q belongs in %s", name, at.parent().parent())
		}
	}
	for _, plugin := range c.plugins {
		if s := c.plugin(plugin); hint == "" && s != nil && (level{node: s}).knows(name) {
			hint = fmt.Sprintf("%q is a setting of the plugin %s", name, plugin)
		}
	}
	switch {
	case strings.HasSuffix(hint, "?"):
		hint += " "
	case hint != "":
		hint += "; "
	}
	c.report(pos, at, fmt.Sprintf("no handler plugin named %s", quote(name)),
		hint+"this binary has "+listing(c.plugins, "and"))
}

// handlerParts checks what the user's files say of a handler one by one, when all of it together is a conflict or has
// no single meaning. It reports keys that name no plugin and mistakes in the config of a plugin, and whether it found any.
func (c *checker) handlerParts(at path, v cue.Value) bool {
	before, partial := len(c.diags), c.partial
	c.partial = true
	for _, part := range conjuncts(v) {
		part = settled(part)
		pos, ok := c.doc.position(valuePos(part))
		it, err := part.Fields()
		if !ok || err != nil {
			continue
		}
		for it.Next() {
			name := it.Selector().Unquoted()
			if p, ok := c.doc.position(c.doc.labelPos(it.Value())); ok {
				pos = p
			}
			switch s := c.plugin(name); {
			case !slices.Contains(c.plugins, name):
				c.unknownPlugin(at.with(name), pos)
			case s != nil:
				c.check(at.with(name), it.Value(), s)
			}
		}
	}
	c.partial = partial
	return len(c.diags) > before
}
