package config

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/config/internal/suggest"
)

// watch reads what a definition watches. Whether the cluster serves the kind is not known here;
// what no cluster can serve is refused.
func (r *resolver) watch(at diagnostic.Path, f language.Watch) Watch {
	w := Watch{}
	before := len(r.problems)
	if f.APIVersion != "" {
		w.Kind = r.kind(at, f)
	}
	good := w.Kind.Kind != "" && len(r.problems) == before
	seen := map[string]int{}
	for i, ns := range f.Namespaces {
		if first, ok := seen[ns]; ok {
			r.report(at.With("namespaces", diagnostic.IndexStep(i)), fmt.Sprintf("%q is there twice, first at [%d]", ns, first), "")
			continue
		}
		seen[ns] = i
		w.Namespaces = append(w.Namespaces, ns)
	}
	slices.Sort(w.Namespaces)
	if good && f.APIVersion != "" {
		r.watchable(at, w)
	}
	w.LabelSelector = r.labelSelector(at.With("labelSelector"), f.LabelSelector)
	w.FieldSelector = r.fieldSelector(at.With("fieldSelector"), f.FieldSelector)
	return w
}

func (r *resolver) kind(at diagnostic.Path, f language.Watch) schema.GroupVersionKind {
	gv, err := schema.ParseGroupVersion(f.APIVersion)
	switch {
	case err != nil:
		r.report(at.With("apiVersion"), fmt.Sprintf("want group/version, have %s", diagnostic.Quote(f.APIVersion)), "")
	case gv.Group == "core":
		r.report(at.With("apiVersion"), "there is no group core", fmt.Sprintf("write %q for core kinds", gv.Version))
	case gv.Group == "" && !suggest.KubeVersion.MatchString(gv.Version):
		r.report(at.With("apiVersion"), fmt.Sprintf("%s names a group without a version", diagnostic.Quote(f.APIVersion)), suggest.GroupVersionHint(f.APIVersion))
	case len(gv.Version) > validation.DNS1035LabelMaxLength || len(gv.Group) > validation.DNS1123SubdomainMaxLength:
		r.report(at.With("apiVersion"), "is too long", "want a group of at most 253 and a version of at most 63 characters")
	default:
		r.builtIn(at, gv, f.Kind)
	}
	return gv.WithKind(f.Kind)
}

// builtIn checks a kind against the kinds that Kubernetes itself has. A group that is not its own
// may hold any kind, and a newer Kubernetes may have more kinds than this binary knows.
func (r *resolver) builtIn(at diagnostic.Path, gv schema.GroupVersion, kind string) {
	switch {
	case kind == "" || suggest.IsBuiltIn(gv.WithKind(kind)):
		if of, ok := strings.CutSuffix(kind, "List"); ok && suggest.IsBuiltIn(gv.WithKind(of)) {
			r.report(at.With("kind"), fmt.Sprintf("%s is a list of objects, not an object", kind), fmt.Sprintf("did you mean %q?", of))
		}
	case !suggest.IsBuiltInVersion(gv):
		if hint := suggest.VersionHint(gv, kind); hint != "" && gv.Group == "" {
			r.report(at.With("apiVersion"), fmt.Sprintf("the core group has no version %s", gv.Version), hint)
		}
	default:
		if hint := suggest.KindHomeHint(gv, kind); hint != "" {
			r.report(at.With("kind"), fmt.Sprintf("%s has no kind %s", gv, kind), hint)
		}
	}
}
