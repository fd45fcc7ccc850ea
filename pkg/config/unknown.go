package config

import (
	"fmt"
	"slices"

	"cuelang.org/go/cue"
)

// unknown reports a field that the schema does not have where it stands, and where it would be right.
func (c *checker) unknown(at path, s *schemaNode) {
	if c.reported[at.key()] {
		return
	}
	c.report(c.doc.keyPosition(at), at, "unknown field", c.unknownHint(at, s))
}

func (c *checker) unknownHint(at path, s *schemaNode) string {
	name := at.last()
	if len(at) == 1 && slices.Contains([]string{"kind", "metadata", "spec"}, name) {
		return "a kooperd config is a file, not a Kubernetes object"
	}
	if i := slices.IndexFunc(s.names, func(n string) bool { return fold(n) == fold(name) }); i >= 0 {
		return fmt.Sprintf("did you mean %q?", s.names[i])
	}
	if hint := c.labelsHint(at, s); hint != "" {
		return hint
	}
	if home := c.home(at, s); home != nil {
		if len(home) == 1 {
			return fmt.Sprintf("%q belongs at the top level", name)
		}
		return fmt.Sprintf("%q belongs in %s", name, home.parent())
	}
	if hint := didYouMean(name, s.names); hint != "" {
		return hint
	}
	hint := ""
	if len(s.names) > 0 && len(s.names) <= 12 {
		hint = "known here: " + listing(s.names, "and")
	}
	if len(at) == 1 {
		hint += "; " + c.ownHint(at)
	}
	return hint
}

// labelsHint explains a selector that is written as an object of labels or fields.
func (c *checker) labelsHint(at path, s *schemaNode) string {
	v := settled(c.doc.lookup(at))
	value, err := v.String()
	switch {
	case v.Kind()&(cue.NumberKind|cue.BoolKind) != 0:
		value = c.doc.printed(v)
	case err != nil:
		return ""
	}
	for _, match := range []string{"matchLabels", "matchFields"} {
		if (level{node: s}).knows(match) && didYouMean(at.last(), s.names) == "" {
			return fmt.Sprintf("write %s: {%s: %s}, or %s", match, path{at.last()}, quote(value), quote(at.last()+"="+value))
		}
	}
	return ""
}

// ownHint says what a field at the top level of a file has to be called to be the user's own.
func (c *checker) ownHint(at path) string {
	pos := c.doc.keyPosition(at)
	for _, src := range c.doc.files {
		if src.name == pos.File && src.language == languageCUE {
			return "a field of your own begins with _ or #, such as _" + at.last()
		}
	}
	return "a key of your own begins with x-, such as x-" + at.last()
}

// home finds the place around at where a field of that name is known: above it, below it or beside it.
func (c *checker) home(at path, s *schemaNode) path {
	name := at.last()
	for i := len(c.stack) - 2; i >= 0; i-- {
		if l := c.stack[i]; l.knows(name) {
			return l.at.with(name)
		}
	}
	if p := c.inPlugin(at); p != nil {
		return p
	}
	if sub := below(s, name); sub != nil {
		return at.parent().with(sub...)
	}
	if i := len(c.stack) - 2; i >= 0 {
		if sub := below(c.stack[i].node, name); sub != nil {
			return c.stack[i].at.with(sub...)
		}
	}
	return nil
}

func (l level) knows(name string) bool {
	l.node.open()
	_, ok := l.node.fields[name]
	return ok
}

// below returns the way from s to a field of that name in a struct right below it, or below any name in it.
func below(s *schemaNode, name string) path {
	s.open()
	for _, sub := range s.names {
		arm, arms := pick(s.fields[sub].schemaNode, cue.StructKind)
		if len(arms) != 1 || !arm.accepts(cue.StructKind) {
			continue
		}
		if (level{node: arm}).knows(name) {
			return path{sub, name}
		}
		if each := arm.anyName(); each != nil && (level{node: each}).knows(name) {
			return path{sub, "<name>", name}
		}
	}
	return nil
}

// inPlugin returns the place in the config of the definition's plugin where a field of that name is known.
func (c *checker) inPlugin(at path) path {
	if len(at) != 3 || at[0] != "controllers" {
		return nil
	}
	handler := at.parent().with("handler")
	it, err := settled(c.doc.lookup(handler)).Fields()
	if err != nil {
		return nil
	}
	for it.Next() {
		plugin := it.Selector().Unquoted()
		s := c.plugin(plugin)
		if s == nil {
			continue
		}
		s.open()
		if _, ok := s.fields[at.last()]; ok {
			return handler.with(plugin, at.last())
		}
	}
	return nil
}
