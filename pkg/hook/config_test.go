package hook_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// pluginConfig is the config of a plugin with hooks.
type pluginConfig struct {
	URL string `json:"url"`
	hook.Config
}

const pluginSchema = `// Config of the test.
#Config: {
	// Where the hook is.
	url!: string

	@hook()
}
`

func pluginOfTest() handlers.Plugin[pluginConfig] {
	return handlers.Plugin[pluginConfig]{
		Name: "hooked", Summary: "Ask a hook of the test", Schema: hook.Schema(pluginSchema),
		Validate: func(c *pluginConfig) []handlers.Problem { return hook.Validate(c.Config, hook.Hooks{}) },
		Owns:     func(c pluginConfig) []handlers.OwnedKind { return hook.Owns(c.Config) },
		Reads:    func(c pluginConfig) []handlers.Related { return hook.Reads(c.Config) },
		NewComposer: func(_ context.Context, env handlers.Env, c pluginConfig) (handlers.Composer, error) {
			return hook.New(hook.Options{Definition: env.Definition, Watched: env.Kind, Config: c.Config, Caller: &scripted{}})
		},
	}
}

// TestSchema makes a plugin with the schema: it has the fields of the struct, and all of them can
// be written.
func TestSchema(t *testing.T) {
	registry, err := handlers.NewRegistry(pluginOfTest())
	if err != nil {
		t.Fatal(err)
	}
	bound, problems, err := registry.Bind("hooked", []byte(`{"url":"http://a","shape":"decorator","version":"v1","decode":"strict",
		"children":[{"apiVersion":"v1","kind":"ConfigMap","resource":"configmaps","anyNamespace":true,"drift":"fix","conflicts":"force",
			"update":"recreate","allowDataLoss":true,"adopt":"ifUnowned","adoptFrom":["helm"],"whenGone":"done","ignore":["data.a"],"prune":true}],
		"reads":[{"apiVersion":"v1","kind":"Secret","resource":"secrets","name":"a","labelSelector":"app=web","namespace":"b"},
			{"apiVersion":"v1","kind":"Pod","namespaceSelector":""},{"apiVersion":"v1","kind":"Service","sameNamespace":true}]}`))
	if err != nil || len(problems) > 0 {
		t.Fatalf("have %+v and %v", problems, err)
	}
	owns := []handlers.OwnedKind{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}}
	if diff := cmp.Diff(owns, bound.Owns()); diff != "" {
		t.Errorf("owns (-want +got):\n%s", diff)
	}
	reads := []handlers.Related{
		{
			Name: "reads[0]", APIVersion: "v1", Kind: "Secret", ObjectName: "a", Namespace: "b",
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
		{Name: "reads[1]", APIVersion: "v1", Kind: "Pod", NamespaceSelector: &metav1.LabelSelector{}},
		{Name: "reads[2]", APIVersion: "v1", Kind: "Service", SameNamespace: true},
	}
	if diff := cmp.Diff(reads, bound.Reads(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
	if text := hook.Schema(pluginSchema); strings.Contains(text, "@hook()") || !strings.Contains(text, "#HookChild: {") {
		t.Errorf("the schema is not completed:\n%s", text)
	}
}

func TestValidate(t *testing.T) {
	empty, wrong := "", "a b"
	child := func(change func(*hook.Child)) hook.Config {
		c := hook.Child{APIVersion: "v1", Kind: "ConfigMap"}
		change(&c)
		return hook.Config{Children: []hook.Child{c}}
	}
	read := func(r hook.Read) hook.Config {
		if r.Kind == "" {
			r.APIVersion, r.Kind = "v1", "Secret"
		}
		return hook.Config{Reads: []hook.Read{r}}
	}
	tests := map[string]struct {
		config hook.Config
		hooks  hook.Hooks
		want   string
	}{
		"nothing":        {},
		"a custom kind":  {config: child(func(c *hook.Child) { c.APIVersion, c.Kind = "demo.kooperd.dev/v1", "Page" })},
		"no apiVersion":  {config: child(func(c *hook.Child) { c.APIVersion = "" }), want: `children[0].apiVersion: "" is no apiVersion`},
		"three parts":    {config: child(func(c *hook.Child) { c.APIVersion = "a/b/c" }), want: `children[0].apiVersion: "a/b/c" is no apiVersion`},
		"no kind":        {config: child(func(c *hook.Child) { c.Kind = "" }), want: "children[0].kind: want a kind"},
		"no such kind":   {config: child(func(c *hook.Child) { c.Kind = "Configmap" }), want: `children[0].kind: Kubernetes has no kind Configmap`},
		"a kind twice":   {config: hook.Config{Children: append(configMaps().Children, configMaps().Children...)}, want: "children[1]: children[0] is the same kind"},
		"a loss of data": {config: child(func(c *hook.Child) { c.AllowDataLoss = true }), want: `children[0].allowDataLoss: is for update: "recreate"`},
		"adopted and not": {
			config: child(func(c *hook.Child) { c.Adopt, c.AdoptFrom = handlers.AdoptNever, []string{"helm"} }),
			want:   `children[0].adoptFrom: has field managers, and adopt is "never"`,
		},
		"every manager": {config: child(func(c *hook.Child) { c.AdoptFrom = []string{"*"} }), want: `children[0].adoptFrom[0]: "*" is no field manager`},
		"a decorator with a selector": {
			config: hook.Config{Shape: hook.Decorator, GenerateSelector: true}, want: "generateSelector: the attachments of a decorator have no selector",
		},
		"no such read":     {config: read(hook.Read{APIVersion: "v1", Kind: "Secrets"}), want: "reads[0].kind: Kubernetes has no kind Secrets"},
		"a selector":       {config: read(hook.Read{LabelSelector: "a b"}), want: "reads[0].labelSelector: "},
		"namespaces":       {config: read(hook.Read{Namespace: "a", SameNamespace: true}), want: "reads[0].sameNamespace: namespace says where the objects are"},
		"namespaces again": {config: read(hook.Read{Namespace: "a", NamespaceSelector: &empty}), want: "reads[0].namespaceSelector: namespace and sameNamespace"},
		"any namespace":    {config: read(hook.Read{NamespaceSelector: &empty})},
		"no selector":      {config: read(hook.Read{NamespaceSelector: &wrong}), want: "reads[0].namespaceSelector: "},
		"no fields": {
			config: rollingBy(hook.RevisionHistory{FieldPaths: []string{}}), want: "revisionHistory.fieldPaths: want at least one field",
		},
		"no field of a revision": {
			config: rollingBy(hook.RevisionHistory{FieldPaths: []string{"status.n"}}), want: `revisionHistory.fieldPaths[0]: "status.n" cannot make a revision`,
		},
		"a namespace for revisions": {config: rollingBy(hook.RevisionHistory{Namespace: "a"})},
		"no namespace": {
			config: rollingBy(hook.RevisionHistory{Namespace: "A"}), want: `revisionHistory.namespace: "A" is no name of a namespace`,
		},
		"customize of nothing": {hooks: hook.Hooks{Customize: true}, want: "customize: what it asks for has to be among reads"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var texts []string
			for _, problem := range hook.Validate(tt.config, tt.hooks) {
				texts = append(texts, problem.Path+": "+problem.Message)
			}
			have := strings.Join(texts, "\n")
			if (tt.want == "") != (have == "") || !strings.HasPrefix(have, tt.want) || len(texts) > 1 {
				t.Errorf("have %q, want %q", have, tt.want)
			}
		})
	}
}

func TestResources(t *testing.T) {
	c := hook.Config{GenerateSelector: true, Children: []hook.Child{
		{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, {APIVersion: "demo.kooperd.dev/v1", Kind: "Proxy"},
		{APIVersion: "demo.kooperd.dev/v1", Kind: "Schema", Resource: "schemata", Policies: handlers.Policies{Update: handlers.UpdateCreateOnly}},
	}}
	caller := &scripted{answers: map[hook.Name]string{hook.Sync: `{}`}}
	if _, err := newComposer(t, c, hook.Hooks{}, caller).Compose(t.Context(), handlers.ComposeRequest{Object: object(t, website)}); err != nil {
		t.Fatal(err)
	}
	want := `"childResources":[{"apiVersion":"networking.k8s.io/v1","resource":"networkpolicies","updateStrategy":{"method":"InPlace"}},` +
		`{"apiVersion":"demo.kooperd.dev/v1","resource":"proxies","updateStrategy":{"method":"InPlace"}},` +
		`{"apiVersion":"demo.kooperd.dev/v1","resource":"schemata","updateStrategy":{"method":"OnDelete"}}],"generateSelector":true,` +
		`"hooks":{"sync":{"version":"v2"}}`
	if body := string(caller.last(t).Body); !strings.Contains(body, want) {
		t.Errorf("the request is\n%s, want in it\n%s", body, want)
	}
}
