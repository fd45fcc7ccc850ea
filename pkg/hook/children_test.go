package hook_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

func TestChildren(t *testing.T) {
	kinds := []hook.Child{
		{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true},
		{APIVersion: "apps/v1", Kind: "Deployment", Policies: handlers.Policies{
			Update: handlers.UpdateRecreate, AllowDataLoss: true, Drift: handlers.DriftReport, Conflicts: handlers.ConflictsFail,
			Adopt: handlers.AdoptIfUnowned, AdoptFrom: []string{"metacontroller"}, Ignore: []string{"spec.replicas"},
		}},
		{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"},
	}
	answer := `{"children":[
		{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web"}},
		{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web","namespace":"team-b"}},
		{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"team-a"},"spec":{"replicas":2},"status":{"replicas":2}},
		{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"web","namespace":"team-a"}}
	]}`
	composition, err := compose(t, hook.Config{Children: kinds}, website, answer)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ConfigMap/web", "ConfigMap/team-b/web", "Deployment.apps/web", "ClusterRole.rbac.authorization.k8s.io/web"}
	if diff := cmp.Diff(want, namesOf(composition.Children)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	policy := handlers.ChildPolicy{
		Update: handlers.UpdateRecreate, AllowDataLoss: true, Drift: handlers.DriftReport, Conflicts: handlers.ConflictsFail,
		Adopt: handlers.AdoptIfUnowned, AdoptFrom: []string{"metacontroller"}, Ignore: []string{"spec.replicas"}, KeepEqual: true,
	}
	if diff := cmp.Diff(policy, composition.Children[2].Policy); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	wantChildren(t, composition.Children,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web"}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web","namespace":"team-b"}}`,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"team-a"},"spec":{"replicas":2}}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"web"}}`,
	)
}

// wantChildren compares the objects of children with JSON texts.
func wantChildren(t *testing.T, children []handlers.Child, want ...string) {
	t.Helper()
	var got []string
	for _, child := range children {
		text, err := json.Marshal(child.Object)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	if diff := cmp.Diff(want, trimmed(got)); diff != "" {
		t.Errorf("children (-want +got):\n%s", diff)
	}
}

// trimmed drops the newline that the encoding of an unstructured object ends with.
func trimmed(texts []string) []string {
	for i, text := range texts {
		for len(text) > 0 && text[len(text)-1] == '\n' {
			text = text[:len(text)-1]
		}
		texts[i] = text
	}
	return texts
}

const (
	selecting = `{apiVersion: demo.kooperd.dev/v1, kind: Website, metadata: {name: shop, namespace: team-a, uid: u-1}, spec: {selector: `
	labelled  = `{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page","labels":{"app":"shop"}}}]}`
)

func TestSelector(t *testing.T) {
	tests := map[string]struct{ selector, answer, want string }{
		"matched":                 {selector: `{matchLabels: {app: shop}}`, answer: labelled},
		"matched by expression":   {selector: `{matchExpressions: [{key: app, operator: In, values: [shop, web]}]}`, answer: labelled},
		"none":                    {selector: `null`, answer: labelled},
		"not matched":             {selector: `{matchLabels: {app: web}}`, answer: labelled, want: `children[0].metadata.labels: they do not match spec.selector of the parent, "app=web"`},
		"no labels":               {selector: `{matchLabels: {app: web}}`, answer: `{"children":[` + page + `]}`, want: `children[0].metadata.labels: they do not match`},
		"empty":                   {selector: `{}`, answer: labelled, want: "spec.selector of the Website is empty, which selects everything"},
		"empty, without children": {selector: `{}`, answer: `{}`},
		"a list":                  {selector: `[]`, answer: labelled, want: "reading spec.selector of the Website: want a label selector, or say generateSelector: true"},
		"a text":                  {selector: `app=shop`, answer: labelled, want: "reading spec.selector of the Website: want a label selector, or say generateSelector: true"},
		"no operator":             {selector: `{matchExpressions: [{key: app, operator: Is}]}`, answer: labelled, want: "reading spec.selector of the Website"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			parent := selecting + tt.selector + `}}`
			_, err := compose(t, configMaps(), parent, tt.answer)
			wantError(t, err, tt.want)
			c := configMaps()
			c.GenerateSelector = true
			if _, err := compose(t, c, parent, tt.answer); err != nil {
				t.Errorf("with a generated selector: %v", err)
			}
			c = configMaps()
			c.Shape = hook.Decorator
			if _, err := compose(t, c, parent, `{"attachments":[`+page+`]}`); err != nil {
				t.Errorf("a decorator: %v", err)
			}
		})
	}
}

func TestGeneratedSelector(t *testing.T) {
	c := configMaps()
	c.GenerateSelector = true
	composition, err := compose(t, c, website, `{"children":[`+page+`,
		{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","labels":{"app":"shop"}}},
		{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","labels":{"controller-uid":"u-1"}}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	wantChildren(t, composition.Children,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"controller-uid":"u-1"},"name":"page"}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"app":"shop","controller-uid":"u-1"},"name":"b"}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"controller-uid":"u-1"},"name":"c"}}`,
	)
	_, err = compose(t, c, website, `{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","labels":{"controller-uid":"u-2"}}}]}`)
	wantError(t, err, "children[0].metadata.labels.controller-uid: is not the UID of the parent, by which children are selected")
}
