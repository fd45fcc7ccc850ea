package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

// TestBuiltInPlugins takes the plugins that kooperd ships with through the whole language: both
// schemas, a config that imports the schema, and printing.
func TestBuiltInPlugins(t *testing.T) {
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	schema := compileJSONSchema(t, registry)
	cfg, err := config.Load(t.Context(), []string{write(t, "f.cue", `import "kooperd.dev/schema/v1alpha1"

v1alpha1.#Config & {
	apiVersion: "kooperd.dev/v1alpha1"
	controllers: [string]: watch: {apiVersion: "v1", kind: "Pod"}
	controllers: log: handler: log: {}
	controllers: exec: handler: exec: v1alpha1.#ExecConfig & {
		command: ["/bin/true"]
		secretEnv: TOKEN: file: "/run/token"
	}
	controllers: apply: handler: apply: v1alpha1.#ApplyConfig & {
		children: settings: template: {
			apiVersion: "v1"
			kind:       "ConfigMap"
			metadata: name: "${object.metadata.name}"
			data: port: "8080"
		}
	}
}
`)}, config.Options{Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	printed, err := config.Effective(cfg, config.YAML)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(yamlValue(t, printed)); err != nil {
		t.Errorf("the JSON Schema refuses what is printed: %v\n%s", err, printed)
	}
	again, err := config.Load(t.Context(), []string{write(t, "f.yaml", string(printed))}, config.Options{Registry: registry})
	if err != nil {
		t.Fatalf("loading what was printed: %v\n%s", err, printed)
	}
	if diff := cmp.Diff(cfg, again, sameConfig); diff != "" {
		t.Errorf("printed and loaded again (-before +after):\n%s", diff)
	}
}

// A mistake in a template is at its place in the string, in each of the formats, and a name that
// means nothing has a suggestion.
func TestMistakesInTemplates(t *testing.T) {
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"f.cue": `apiVersion: "kooperd.dev/v1alpha1"
controllers: web: {
	watch: {apiVersion: "v1", kind: "Pod"}
	handler: apply: children: page: template: {
		apiVersion: "v1", kind: "ConfigMap", metadata: name: "x-${object.metadata.nam}"
		dat: {}
	}
}
`,
		"f.yaml": `apiVersion: kooperd.dev/v1alpha1
controllers:
  web:
    watch: {apiVersion: v1, kind: Pod}
    handler: {apply: {children: {page: {template: {apiVersion: v1, kind: ConfigMap,
      metadata: {name: "x-${object.metadata.nam}"},
      dat: {}}}}}}
`,
	} {
		_, err := config.Load(t.Context(), []string{write(t, name, file)}, config.Options{Registry: registry})
		var wrong config.Diagnostics
		if !errors.As(err, &wrong) {
			t.Fatalf("%s: have %v, want diagnostics", name, err)
		}
		var have []string
		for _, d := range wrong {
			have = append(have, fmt.Sprintf("%d:%d: %s: %s; %s", d.Line, d.Column, d.Path, d.Message, d.Hint))
		}
		const at = "controllers.web.handler.apply.children.page.template"
		places := map[string][]string{"f.cue": {"5:77", "6:3"}, "f.yaml": {"6:45", "7:7"}}[name]
		want := []string{
			places[0] + ": " + at + `.metadata.name: there is no field object.metadata.nam; did you mean "name"?`,
			places[1] + ": " + at + `.dat: there is no field dat; did you mean "data"?`,
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +have):\n%s", name, diff)
		}
	}
}

// A name alone is that of one object where only one namespace is watched.
func TestNamespacesOfRelatedObjects(t *testing.T) {
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	for namespaces, wrong := range map[string]bool{"": true, ", namespaces: [a, b]": true, ", namespaces: [a]": false} {
		file := `apiVersion: kooperd.dev/v1alpha1
controllers:
  web:
    watch: {apiVersion: v1, kind: Pod` + namespaces + `}
    handler: {apply: {related: {s: {apiVersion: v1, kind: ConfigMap, name: platform}}, children: {}}}
`
		_, err := config.Load(t.Context(), []string{write(t, "f.yaml", file)}, config.Options{Registry: registry})
		if have := err != nil && strings.Contains(err.Error(), "related.s.name: may be that of several objects"); have != wrong || err != nil && !wrong {
			t.Errorf("watch%s: have %v, want a mistake: %t", namespaces, err, wrong)
		}
	}
}
