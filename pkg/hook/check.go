package hook

import (
	"fmt"
	"slices"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// Check checks what depends on the watched kind, as handlers.Plugin wants it: revisions of objects
// that belong to no namespace have to be kept in one that the config names.
func Check(c Config, known handlers.Kinds) []handlers.Problem {
	namespaced, ok := scopeOf(known)
	if !ok || !c.rolls() {
		return nil
	}
	v, kind, named := &validator{}, known.Watched.Kind, c.RevisionHistory != nil && c.RevisionHistory.Namespace != ""
	switch {
	case namespaced && named:
		v.add("revisionHistory.namespace", fmt.Sprintf("a %s has a namespace, and its revisions are kept there", kind), "leave it out")
	case !namespaced && !named:
		v.add(fmt.Sprintf("children[%d].update", slices.IndexFunc(c.Children, Child.rolls)),
			fmt.Sprintf("a %s belongs to no namespace, so there is none in which its revisions could be kept", kind),
			`name one by revisionHistory: namespace: "…", or say for example "inPlace"`)
	}
	return v.problems
}

// scopeOf reports whether the watched objects belong to namespaces. Known is false where that is
// not known.
func scopeOf(in handlers.Kinds) (namespaced, known bool) {
	if resource, err := kinds.BuiltIn().Lookup(in.Watched); err == nil {
		return resource.Namespaced, true
	}
	if in.ScopeOf == nil || in.Watched.Kind == "" {
		return false, false
	}
	return in.ScopeOf(in.Watched)
}
