package explain

import (
	"fmt"
	"slices"

	"cuelang.org/go/cue"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/suggest"
	"kooperd.dev/kooperd/pkg/config/internal/syntax"
)

// unknown reports a field that the schema does not have where it stands, and where it would be
// right.
func (c *Checker) unknown(at diagnostic.Path, s *SchemaNode) {
	if c.Has(at) {
		return
	}
	c.Add(c.Doc.KeyPosition(at), at, "unknown field", (placement{doc: c.Doc, plugins: c.Plugins, stack: c.stack}).hint(at, s))
}

// placement finds out where a field belongs that is unknown where it stands.
type placement struct {
	doc     *Document
	plugins Plugins
	stack   []level // the structs around the field, the root first
}

// hint says what the field was meant to be, or where it would be right.
func (p placement) hint(at diagnostic.Path, s *SchemaNode) string {
	name := at.Last()
	if len(at) == 1 && slices.Contains([]string{"kind", "metadata", "spec"}, name) {
		return "a kooperd config is a file, not a Kubernetes object"
	}
	if i := slices.IndexFunc(s.names, func(n string) bool { return suggest.Fold(n) == suggest.Fold(name) }); i >= 0 {
		return fmt.Sprintf("did you mean %q?", s.names[i])
	}
	if hint := p.labelsHint(at, s); hint != "" {
		return hint
	}
	if home := p.home(at, s); home != nil {
		if len(home) == 1 {
			return fmt.Sprintf("%q belongs at the top level", name)
		}
		return fmt.Sprintf("%q belongs in %s", name, home.Parent())
	}
	if hint := suggest.DidYouMean(name, s.names); hint != "" {
		return hint
	}
	hint := ""
	if len(s.names) > 0 && len(s.names) <= 20 {
		hint = "known here: " + diagnostic.Listing(s.names, "and")
	}
	if len(at) == 1 {
		hint += "; " + p.ownHint(at)
	}
	return hint
}

// labelsHint explains a selector that is written as an object of labels or fields.
func (p placement) labelsHint(at diagnostic.Path, s *SchemaNode) string {
	v := Settled(p.doc.Lookup(at))
	value, err := v.String()
	switch {
	case v.Kind()&(cue.NumberKind|cue.BoolKind) != 0:
		value = p.doc.printed(v)
	case err != nil:
		return ""
	}
	for _, match := range []string{"matchLabels", "matchFields"} {
		if (level{node: s}).knows(match) && suggest.DidYouMean(at.Last(), s.names) == "" {
			return fmt.Sprintf("write %s: {%s: %s}, or %s", match, diagnostic.Path{at.Last()}, diagnostic.Quote(value), diagnostic.Quote(at.Last()+"="+value))
		}
	}
	return ""
}

// ownHint says what a field at the top level of a file has to be called to be the user's own.
func (p placement) ownHint(at diagnostic.Path) string {
	pos := p.doc.KeyPosition(at)
	for _, src := range p.doc.Files {
		if src.Name == pos.File && src.Language == syntax.CUE {
			return "a field of your own begins with _ or #, such as _" + at.Last()
		}
	}
	return "a key of your own begins with x-, such as x-" + at.Last()
}

// home finds the place around at where a field of that name is known: above it, below it or beside
// it.
func (p placement) home(at diagnostic.Path, s *SchemaNode) diagnostic.Path {
	name := at.Last()
	for i := len(p.stack) - 2; i >= 0; i-- {
		if l := p.stack[i]; l.knows(name) {
			return l.at.With(name)
		}
	}
	if known := p.inPlugin(at); known != nil {
		return known
	}
	if sub := below(s, name); sub != nil {
		return at.Parent().With(sub...)
	}
	if i := len(p.stack) - 2; i >= 0 {
		if sub := below(p.stack[i].node, name); sub != nil {
			return p.stack[i].at.With(sub...)
		}
	}
	return nil
}

func (l level) knows(name string) bool {
	l.node.open()
	_, ok := l.node.fields[name]
	return ok
}

// below returns the way from s to a field of that name in a struct right below it, or below any
// name in it.
func below(s *SchemaNode, name string) diagnostic.Path {
	s.open()
	for _, sub := range s.names {
		arm, arms := pick(s.fields[sub].SchemaNode, cue.StructKind)
		if len(arms) != 1 || !arm.accepts(cue.StructKind) {
			continue
		}
		if (level{node: arm}).knows(name) {
			return diagnostic.Path{sub, name}
		}
		if each := arm.anyName(); each != nil && (level{node: each}).knows(name) {
			return diagnostic.Path{sub, "<name>", name}
		}
	}
	return nil
}

// inPlugin returns the place in the config of the definition's plugin where a field of that name is
// known.
func (p placement) inPlugin(at diagnostic.Path) diagnostic.Path {
	if len(at) != 3 || at[0] != "controllers" {
		return nil
	}
	handler := at.Parent().With("handler")
	it, err := Settled(p.doc.Lookup(handler)).Fields()
	if err != nil {
		return nil
	}
	for it.Next() {
		plugin := it.Selector().Unquoted()
		s := p.plugins.Node(plugin)
		if s == nil {
			continue
		}
		s.open()
		if _, ok := s.fields[at.Last()]; ok {
			return handler.With(plugin, at.Last())
		}
	}
	return nil
}
