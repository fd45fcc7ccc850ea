package hook_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

func TestCheck(t *testing.T) {
	namespace := schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	service := schema.GroupVersionKind{Version: "v1", Kind: "Service"}
	realm := schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Realm"}
	outside := func(schema.GroupVersionKind) (namespaced, known bool) { return false, true }
	in := rolling()
	in.RevisionHistory = &hook.RevisionHistory{Namespace: "revisions"}
	const noPlace = `children[0].update: a %s belongs to no namespace, so there is none in which its revisions could be kept` +
		`; name one by revisionHistory: namespace: "…", or say for example "inPlace"`
	for name, tt := range map[string]struct {
		config hook.Config
		known  handlers.Kinds
		want   string
	}{
		"nothing rolls":               {config: configMaps(), known: handlers.Kinds{Watched: namespace}},
		"in a namespace":              {config: rolling(), known: handlers.Kinds{Watched: service}},
		"no definition":               {config: rolling()},
		"a custom kind":               {config: rolling(), known: handlers.Kinds{Watched: realm}},
		"without a namespace":         {config: rolling(), known: handlers.Kinds{Watched: namespace}, want: strings.Replace(noPlace, "%s", "Namespace", 1)},
		"a kind that is known":        {config: rolling(), known: handlers.Kinds{Watched: realm, ScopeOf: outside}, want: strings.Replace(noPlace, "%s", "Realm", 1)},
		"without one, and it is said": {config: in, known: handlers.Kinds{Watched: realm, ScopeOf: outside}},
		"it is said in vain": {
			config: in, known: handlers.Kinds{Watched: service},
			want: "revisionHistory.namespace: a Service has a namespace, and its revisions are kept there; leave it out",
		},
	} {
		var have []string
		for _, problem := range hook.Check(tt.config, tt.known) {
			have = append(have, problem.Path+": "+problem.Message+"; "+problem.Hint)
		}
		if got := strings.Join(have, "\n"); got != tt.want {
			t.Errorf("%s: have %q, want %q", name, got, tt.want)
		}
	}
}
