package hook_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// reading is a config that reads these.
func reading(version hook.Version) hook.Config {
	anywhere := ""
	return hook.Config{Version: version, Decode: hook.Strict, Reads: []hook.Read{
		{APIVersion: "v1", Kind: "Secret", NamespaceSelector: &anywhere},
		{APIVersion: "v1", Kind: "ConfigMap", Namespace: "shared"},
		{APIVersion: "v1", Kind: "Node"},
		{APIVersion: "demo.kooperd.dev/v1", Kind: "Schema", Resource: "schemata"},
	}}
}

// relate asks a customize hook that answers with these entries.
func relate(t *testing.T, version hook.Version, parent, rules string) ([]handlers.Related, error) {
	t.Helper()
	caller := &scripted{answers: map[hook.Name]string{hook.Customize: `{"relatedResources":` + rules + `}`}}
	composer := newComposer(t, reading(version), hook.Hooks{Customize: true}, caller)
	return composer.(handlers.Relater).Relate(t.Context(), object(t, parent))
}

func TestCustomize(t *testing.T) {
	web := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	teams := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Exists"}}}
	tests := map[string]struct {
		version hook.Version
		parent  string
		rules   string
		want    []handlers.Related
	}{
		"nothing":    {rules: `null`},
		"no entries": {rules: `[]`},
		"a whole kind": {
			rules: `[{"apiVersion":"v1","resource":"secrets"}]`,
			want:  []handlers.Related{{Name: "relatedResources[0] v1 Secret", APIVersion: "v1", Kind: "Secret"}},
		},
		"a whole kind by v1": {
			version: hook.V1, rules: `[{"apiVersion":"v1","resource":"secrets"}]`,
			want: []handlers.Related{{Name: "relatedResources[0] v1 Secret", APIVersion: "v1", Kind: "Secret", SameNamespace: true}},
		},
		"a whole kind by v1 without a namespace": {
			version: hook.V1, parent: tenant, rules: `[{"apiVersion":"v1","resource":"secrets"}]`,
			want: []handlers.Related{{Name: "relatedResources[0] v1 Secret", APIVersion: "v1", Kind: "Secret"}},
		},
		"several": {
			rules: `[{"apiVersion":"v1","resource":"secrets","labelSelector":{"matchLabels":{"app":"web"}},"namespace":"team-b"},
				{"apiVersion":"v1","resource":"secrets","names":["a","b"],"namespace":"team-b"},
				{"apiVersion":"v1","resource":"secrets","namespaceSelector":{"matchExpressions":[{"key":"team","operator":"Exists"}]}},
				{"apiVersion":"demo.kooperd.dev/v1","resource":"schemata","names":[],"namespace":"","labelSelector":null}]`,
			want: []handlers.Related{
				{Name: "relatedResources[0] v1 Secret", APIVersion: "v1", Kind: "Secret", LabelSelector: web, Namespace: "team-b"},
				{Name: "relatedResources[1] v1 Secret", APIVersion: "v1", Kind: "Secret", ObjectNames: []string{"a", "b"}, Namespace: "team-b"},
				{Name: "relatedResources[2] v1 Secret", APIVersion: "v1", Kind: "Secret", NamespaceSelector: teams},
				{Name: "relatedResources[3] demo.kooperd.dev/v1 Schema", APIVersion: "demo.kooperd.dev/v1", Kind: "Schema"},
			},
		},
		"its own namespace by v1": {
			version: hook.V1, rules: `[{"apiVersion":"v1","resource":"secrets","namespace":"team-a","names":["a"]}]`,
			want: []handlers.Related{{
				Name: "relatedResources[0] v1 Secret", APIVersion: "v1", Kind: "Secret", Namespace: "team-a", ObjectNames: []string{"a"},
			}},
		},
		"namespaces by v1 without a namespace": {
			version: hook.V1, parent: tenant, rules: `[{"apiVersion":"v1","resource":"secrets","namespaceSelector":{}}]`,
			want: []handlers.Related{{
				Name: "relatedResources[0] v1 Secret", APIVersion: "v1", Kind: "Secret", NamespaceSelector: &metav1.LabelSelector{},
			}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.parent == "" {
				tt.parent = website
			}
			related, err := relate(t, tt.version, tt.parent, tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, related); diff != "" {
				t.Errorf("related objects (-want +got):\n%s", diff)
			}
			for _, one := range related {
				if err := one.Validate(); err != nil {
					t.Errorf("it asks for what cannot be: %v", err)
				}
			}
		})
	}
}

func TestCustomizeLies(t *testing.T) {
	const secrets = `{"apiVersion":"v1","resource":"secrets",`
	tests := map[string]struct {
		version     hook.Version
		rules, want string
	}{
		"an object": {rules: `{}`, want: "customize hook: relatedResources: is an object, want a list"},
		"null":      {rules: `[null]`, want: "customize hook: relatedResources[0]: is null, want an object"},
		"not among reads": {
			rules: `[{"apiVersion":"v1","resource":"pods"}]`,
			want: `customize hook: relatedResources[0]: asks for "v1" "pods", which is not among the reads of the definition: ` +
				`v1 secrets, v1 configmaps, v1 nodes, demo.kooperd.dev/v1 schemata`,
		},
		"a kind":            {rules: `[{"apiVersion":"v1","kind":"Secret"}]`, want: "relatedResources[0].kind: means nothing here; known are apiVersion, resource"},
		"names and labels":  {rules: `[` + secrets + `"names":["a"],"labelSelector":{}}]`, want: "relatedResources[0].names: do not go together with labelSelector"},
		"names that are no": {rules: `[` + secrets + `"names":[1]}]`, want: "relatedResources[0].names: item 0 is a number, want a string"},
		"an empty name":     {rules: `[` + secrets + `"names":[""]}]`, want: "relatedResources[0].names: item 0 is empty"},
		"a namespace twice": {
			rules: `[` + secrets + `"namespace":"a","namespaceSelector":{}}]`, want: "relatedResources[0].namespaceSelector: does not go together with namespace",
		},
		"namespaces of nodes": {
			rules: `[{"apiVersion":"v1","resource":"nodes","namespaceSelector":{}}]`,
			want:  `relatedResources[0].namespaceSelector: the definition does not read v1 Node by the labels of namespaces`,
		},
		"namespaces by v1": {
			version: hook.V1, rules: `[` + secrets + `"namespaceSelector":{}}]`, want: "relatedResources[0].namespaceSelector: is for objects without a namespace, by v1",
		},
		"another namespace by v1": {
			version: hook.V1, rules: `[` + secrets + `"namespace":"team-b"}]`,
			want: `relatedResources[0].namespace: is "team-b", and by v1 an object of the namespace "team-a" sees that alone`,
		},
		"another namespace than is read": {
			rules: `[{"apiVersion":"v1","resource":"configmaps","namespace":"team-b"}]`,
			want:  `relatedResources[0].namespace: is "team-b", and the definition reads the namespace "shared" alone`,
		},
		"no operator": {
			rules: `[` + secrets + `"labelSelector":{"matchExpressions":[{"key":"a","operator":"Is"}]}}]`, want: "relatedResources[0].labelSelector: is no label selector: ",
		},
		"labels as they are": {
			rules: `[` + secrets + `"labelSelector":{"app":"web"}}]`, want: "relatedResources[0].labelSelector.app: means nothing here; known are matchLabels",
		},
		"a label that is null": {
			rules: `[` + secrets + `"labelSelector":{"matchLabels":{"app":null}}}]`, want: `relatedResources[0].labelSelector.matchLabels: "app" is null, want a string`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			related, err := relate(t, tt.version, website, tt.rules)
			wantError(t, err, tt.want)
			if related != nil {
				t.Errorf("it asks for %v", related)
			}
		})
	}
}

// What one of several entries of a kind allows may be asked for.
func TestCustomizeWithSeveralReads(t *testing.T) {
	anywhere := ""
	config := hook.Config{Reads: []hook.Read{
		{APIVersion: "v1", Kind: "ConfigMap", Namespace: "a"}, {APIVersion: "v1", Kind: "ConfigMap", Namespace: "b"},
		{APIVersion: "v1", Kind: "Secret", Namespace: "a"}, {APIVersion: "v1", Kind: "Secret", NamespaceSelector: &anywhere},
	}}
	for rule, want := range map[string]string{
		`{"apiVersion":"v1","resource":"configmaps","namespace":"b"}`: "",
		`{"apiVersion":"v1","resource":"configmaps","namespace":"c"}`: `customize hook: relatedResources[0].namespace: is "c", ` +
			`and the definition reads the namespace "a" and "b" alone`,
		`{"apiVersion":"v1","resource":"secrets","namespaceSelector":{"matchLabels":{"x":"y"}}}`: "",
	} {
		caller := &scripted{answers: map[hook.Name]string{hook.Customize: `{"relatedResources":[` + rule + `]}`}}
		composer := newComposer(t, config, hook.Hooks{Customize: true}, caller)
		_, err := composer.(handlers.Relater).Relate(t.Context(), object(t, website))
		if have := errorText(err); have != want {
			t.Errorf("%s: the error is %q, want %q", rule, have, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
