package config

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/handlers"
)

// finalizerMistake says what is wrong with a finalizer that the schema has accepted, and what would
// be right; nothing if nothing is.
func finalizerMistake(c *language.Controller) (message, hint string) {
	domain, name, qualified := strings.Cut(c.Finalizer, "/")
	switch {
	case !qualified: // There is none, or the schema has refused it.
		return "", ""
	case len(name) > validation.LabelValueMaxLength || len(domain) > validation.DNS1123SubdomainMaxLength:
		return "is too long", "want a domain of at most 253 characters, and a name of at most 63"
	case ownedByKubernetes(domain):
		return diagnostic.Quote(c.Finalizer) + " belongs to Kubernetes", fmt.Sprintf("want a domain of yours, such as \"example.com/%s\"", name)
	case c.LeaderElection == language.Disabled:
		return "cannot be had by a definition that runs on every replica: all of them would finalize", `leave out leaderElection: "disabled"`
	}
	return "", ""
}

// ownedByKubernetes reports whether a domain is one of those in which Kubernetes has its own names.
func ownedByKubernetes(domain string) bool {
	return slices.ContainsFunc([]string{"kubernetes.io", "k8s.io"}, func(own string) bool {
		return domain == own || strings.HasSuffix(domain, "."+own)
	})
}

// sharedFinalizers reports definitions that have one finalizer for the same objects: the first to
// finalize an object would let it go.
func sharedFinalizers(definitions []Definition) (problems []problem) {
	for i, def := range definitions {
		if def.Finalizer == "" {
			continue
		}
		same := func(other Definition) bool {
			return other.Finalizer == def.Finalizer && other.Watch.Kind.GroupKind() == def.Watch.Kind.GroupKind() && overlap(other, def)
		}
		if first := slices.IndexFunc(definitions[:i], same); first >= 0 {
			problems = append(problems, problem{
				at:      diagnostic.Path{"controllers", def.Name, "finalizer"},
				message: fmt.Sprintf("controller %q has the same finalizer for this kind: the first of the two would let the objects go", definitions[first].Name),
				hint:    "give each its own",
			})
		}
	}
	return problems
}

// overlap reports whether two definitions of one kind may watch the same object. Of selectors that
// is not known.
func overlap(a, b Definition) bool {
	if len(a.Watch.Namespaces) == 0 || len(b.Watch.Namespaces) == 0 {
		return true
	}
	return slices.ContainsFunc(a.Watch.Namespaces, func(namespace string) bool {
		return slices.Contains(b.Watch.Namespaces, namespace)
	})
}

// checkFinalizes reports a finalizer of a definition whose handler can do nothing with it.
func (l *loader) checkFinalizes(name, finalizer string, handler handlers.Bound) {
	at := diagnostic.Path{"controllers", name, "finalizer"}
	switch {
	case finalizer == "":
		return
	case handler.Composes():
		l.report.Add(l.doc.ValuePosition(at), at, fmt.Sprintf("the %s plugin has a finalizer where it needs one", handler.Plugin()), "leave it out")
		return
	case handler.Finalizes():
		return
	}
	if d, _ := l.registry.Describe(handler.Plugin()); d.Finalizes {
		l.report.Add(l.doc.ValuePosition(at), at, fmt.Sprintf("the %s plugin does not finalize with this config", handler.Plugin()),
			fmt.Sprintf("kooperd plugins %s shows what it needs for that, or leave finalizer out", handler.Plugin()))
		return
	}
	var able []string
	for _, plugin := range l.registry.Names() {
		if d, _ := l.registry.Describe(plugin); d.Finalizes {
			able = append(able, plugin)
		}
	}
	hint := "leave it out"
	if len(able) > 0 {
		hint += "; " + diagnostic.Listing(able, "and") + " can finalize"
	}
	l.report.Add(l.doc.ValuePosition(at), at, fmt.Sprintf("the %s plugin cannot finalize", handler.Plugin()), hint)
}
