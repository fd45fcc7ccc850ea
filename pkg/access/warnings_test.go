package access_test

import (
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

func TestWarnings(t *testing.T) {
	local := composing{owns: []handlers.OwnedKind{{APIVersion: "v1", Kind: "ConfigMap"}}}
	elsewhere := composing{owns: []handlers.OwnedKind{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}}}
	tests := map[string]struct {
		composing composing
		config    string
		want      string // part of the only warning; empty for none
	}{
		"the garbage collector does it":     {local, sitesOfX, ""},
		"children in other namespaces":      {elsewhere, sitesOfX, "a: the garbage collector does not delete all children of a Site"},
		"the composer finalizes":            {composing{owns: local.owns, finalizes: true}, sitesOfX, "a: the garbage collector"},
		"cluster-scoped children":           {composing{owns: []handlers.OwnedKind{{APIVersion: "v1", Kind: "Namespace"}}}, sitesOfX, "a: the garbage collector"},
		"of an unknown kind":                {composing{owns: []handlers.OwnedKind{{APIVersion: "demo.io/v1", Kind: "Ship"}}}, sitesOfX, ""},
		"no Roles":                          {elsewhere, sites, ""},
		"paused":                            {elsewhere, strings.Replace(sitesOfX, "handler:", "paused: true, handler:", 1), ""},
		"parents that cannot be in the way": {elsewhere, fleets, ""},
	}
	finder := kinds.BuiltIn().With(kept("Site", "sites", true), kept("Fleet", "fleets", false))
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			checkWarnings(t, access.Warnings(t.Context(), loadComposers(t, tc.composing, tc.config), finder), tc.want)
		})
	}
	handler := load(t, `controllers: a: {
	watch: {apiVersion: "v1", kind: "Pod", namespaces: ["x"]}
	finalizer: "example.com/a"
	handler: exec: {command: ["true"], finalize: command: ["true"]}
}`)
	checkWarnings(t, access.Warnings(t.Context(), handler, finder), "a: a namespace that is deleted takes its Role along")
}

// checkWarnings wants one warning that begins with a text, or none.
func checkWarnings(t *testing.T, got []string, want string) {
	t.Helper()
	if want == "" && len(got) == 0 || want != "" && len(got) == 1 && strings.HasPrefix(got[0], want) {
		return
	}
	t.Errorf("warnings %q, want %q", got, want)
}
