package config_test

import (
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
