package config

import (
	"fmt"
	"slices"

	"cuelang.org/go/cue"

	"kooperd.dev/kooperd/pkg/handlers"
)

// bindHandler checks the handler of one definition and binds it to its plugin; ok is false after a mistake.
func (l *loader) bindHandler(at path) (bound handlers.Bound, ok bool) {
	v := l.doc.lookup(at)
	if !v.Exists() || missing(v) {
		return handlers.Bound{}, false
	}
	whole := l.userPart(v)
	v = settled(whole)
	if ambiguous(v) {
		if !l.handlerParts(at, v) {
			l.undecided(at, v)
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
		if missing(it.Value()) {
			continue
		}
		if slices.Contains(l.plugins, name) {
			known = append(known, name)
		} else {
			unknown = true
			l.unknownPlugin(at.with(name), l.doc.keyPosition(at.with(name)))
		}
	}
	switch {
	case len(known) > 1:
		l.report(l.doc.keyPosition(at.with(known[1])), at,
			fmt.Sprintf("want exactly one plugin, have %d: %s", len(known), listing(known, "and")), defaultHint(whole))
	case len(known) == 0 && !unknown:
		l.report(l.doc.keyPosition(at), at, "names no plugin", "name one of "+listing(l.plugins, "or"))
	}
	for _, name := range known {
		bound, ok = l.bindPlugin(at.with(name), name, v.LookupPath(cue.MakePath(cue.Str(name))))
	}
	return bound, ok && len(known) == 1 && !unknown
}

// defaultHint explains two plugins in a handler when one of them comes from a disjunction: its default goes on to count
// as long as nothing excludes it.
func defaultHint(v cue.Value) string {
	for _, part := range append([]cue.Value{v}, conjuncts(v)...) {
		if op, _ := part.Expr(); op == cue.OrOp {
			return "the default of a disjunction counts until something excludes it: close its alternatives with close({…})"
		}
	}
	return ""
}

// pluginHint says whose mistake it is when a plugin cannot be asked about its config.
const pluginHint = "this is a mistake in the plugin, not in the file"

// bindPlugin checks v, the config of a plugin, by the plugin's schema and then by its own code.
func (l *loader) bindPlugin(at path, name string, v cue.Value) (handlers.Bound, bool) {
	s := l.plugin(name)
	if s == nil {
		l.report(l.doc.keyPosition(at), at, "the plugin's schema does not compile", pluginHint)
		return handlers.Bound{}, false
	}
	full := s.value.Unify(v)
	if err := full.Validate(cue.Concrete(true)); err != nil {
		before := len(l.diags)
		l.check(at, v, s)
		if len(l.diags) == before {
			l.remaining(at, err)
		}
		if len(l.diags) == before {
			l.report(l.doc.keyPosition(at), at, firstMessage(err), "")
		}
		return handlers.Bound{}, false
	}
	raw, err := full.MarshalJSON()
	if err != nil {
		l.report(l.doc.keyPosition(at), at, "cannot be written as JSON: "+firstMessage(err), "")
		return handlers.Bound{}, false
	}
	done := l.doing.calling(name)
	bound, problems, err := l.registry.Bind(name, raw)
	done()
	if err != nil {
		l.report(l.doc.keyPosition(at), at, err.Error(), pluginHint)
		return handlers.Bound{}, false
	}
	for _, p := range problems {
		where := at.with(parsePath(p.Path)...)
		l.report(l.doc.valuePosition(where), where, p.Message, p.Hint)
	}
	return bound, len(problems) == 0
}
