package config

import (
	"fmt"
	"slices"

	"cuelang.org/go/cue"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/explain"
	"kooperd.dev/kooperd/pkg/handlers"
)

// bindHandler checks the handler of one definition and binds it to its plugin; ok is false after a
// mistake.
func (l *loader) bindHandler(at diagnostic.Path, kinds handlers.Kinds) (bound handlers.Bound, ok bool) {
	v := l.doc.Lookup(at)
	if !v.Exists() || explain.Missing(v) {
		return handlers.Bound{}, false
	}
	whole := l.doc.UserPart(v)
	v = explain.Settled(whole)
	if explain.Ambiguous(v) {
		if !l.check.HandlerParts(at, v) {
			l.check.Undecided(at, v)
		}
		return handlers.Bound{}, false
	}
	it, err := v.Fields()
	if err != nil {
		return handlers.Bound{}, false // reported by the check of the core schema
	}
	var known []string
	unknown := false
	for it.Next() {
		name := it.Selector().Unquoted()
		if explain.Missing(it.Value()) {
			continue
		}
		if slices.Contains(l.check.Plugins.Names, name) {
			known = append(known, name)
		} else {
			unknown = true
			l.check.UnknownPlugin(at.With(name), l.doc.KeyPosition(at.With(name)))
		}
	}
	switch {
	case len(known) > 1:
		l.report.Add(l.doc.KeyPosition(at.With(known[1])), at,
			fmt.Sprintf("want exactly one plugin, have %d: %s", len(known), diagnostic.Listing(known, "and")), defaultHint(whole))
	case len(known) == 0 && !unknown:
		l.report.Add(l.doc.KeyPosition(at), at, "names no plugin", "name one of "+diagnostic.Listing(l.check.Plugins.Names, "or"))
	}
	for _, name := range known {
		bound, ok = l.bindPlugin(at.With(name), name, v.LookupPath(cue.MakePath(cue.Str(name))), kinds)
	}
	return bound, ok && len(known) == 1 && !unknown
}

// defaultHint explains two plugins in a handler when one of them comes from a disjunction: its
// default goes on to count as long as nothing excludes it.
func defaultHint(v cue.Value) string {
	for _, part := range append([]cue.Value{v}, explain.Conjuncts(v)...) {
		if op, _ := part.Expr(); op == cue.OrOp {
			return "the default of a disjunction counts until something excludes it: close its alternatives with close({…})"
		}
	}
	return ""
}

// pluginHint says whose mistake it is when a plugin cannot be asked about its config.
const pluginHint = "this is a mistake in the plugin, not in the file"

// pluginSchemas are the schemas of the plugins' configs, compiled when they are asked for.
type pluginSchemas struct {
	registry *handlers.Registry
	ctx      *cue.Context
	nodes    map[string]*explain.SchemaNode // by plugin
}

// node returns the schema of a plugin's config, or nil for an unknown plugin.
func (p *pluginSchemas) node(name string) *explain.SchemaNode {
	if s, ok := p.nodes[name]; ok {
		return s
	}
	d, ok := p.registry.Describe(name)
	if !ok {
		return nil
	}
	v, err := handlers.CompileSchema(p.ctx, d.Schema)
	if err != nil {
		return nil
	}
	s := explain.NewSchemaNode(v)
	p.nodes[name] = s
	return s
}

// bindPlugin checks v, the config of a plugin, by the plugin's schema and then by its own code.
func (l *loader) bindPlugin(at diagnostic.Path, name string, v cue.Value, kinds handlers.Kinds) (handlers.Bound, bool) {
	s := l.plugins.node(name)
	if s == nil {
		l.report.Add(l.doc.KeyPosition(at), at, "the plugin's schema does not compile", pluginHint)
		return handlers.Bound{}, false
	}
	full := s.Value.Unify(v)
	if err := full.Validate(cue.Concrete(true)); err != nil {
		before := len(l.report.Diags)
		l.check.Check(at, v, s)
		if len(l.report.Diags) == before && !l.report.Explained(at) {
			l.check.Remaining(at, err)
		}
		if len(l.report.Diags) == before && !l.report.Explained(at) {
			l.report.Add(l.doc.KeyPosition(at), at, diagnostic.FirstMessage(err), "")
		}
		return handlers.Bound{}, false
	}
	raw, err := full.MarshalJSON()
	if err != nil {
		l.report.Add(l.doc.KeyPosition(at), at, "cannot be written as JSON: "+diagnostic.FirstMessage(err), "")
		return handlers.Bound{}, false
	}
	done := l.doing.calling(name)
	bound, problems, err := l.registry.BindFor(name, raw, kinds)
	done()
	if err != nil {
		l.report.Add(l.doc.KeyPosition(at), at, err.Error(), pluginHint)
		return handlers.Bound{}, false
	}
	l.reportProblems(pluginProblems(at, v, problems))
	return bound, len(problems) == 0
}

// pluginProblems are the problems that a plugin has found in v, its config at a place.
func pluginProblems(at diagnostic.Path, v cue.Value, found []handlers.Problem) []problem {
	problems := make([]problem, len(found))
	for i, f := range found {
		path := diagnostic.ParsePath(f.Path)
		p := problem{at: at.With(path...), message: f.Message, hint: suggested(f.Hint, f.Unknown, f.Known, f.Within)}
		if text, err := v.LookupPath(cue.ParsePath(f.Path)).String(); err == nil && f.Offset > 0 {
			p.text, p.offset = &text, f.Offset
		}
		p.key = p.text == nil && len(path) > 0 && f.Unknown == path[len(path)-1]
		problems[i] = p
	}
	return problems
}
