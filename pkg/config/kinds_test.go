package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kinds/crd"
)

// TestKindSchemas compares the CustomResourceDefinitions that the kinds of testdata/kinds come to
// with the .want beside each file. Whether an API server takes them, test/crds finds out.
func TestKindSchemas(t *testing.T) {
	t.Chdir(filepath.Join("testdata", "kinds"))
	names := fixtures(t, ".")
	if len(names) < 30 {
		t.Errorf("%d files, want 30", len(names))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			cfg := mustLoad(t, name)
			have := printed(t, cfg.Kinds)
			file := name + ".want"
			if *update {
				if err := os.WriteFile(file, []byte(have), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), have); diff != "" {
				t.Errorf("CustomResourceDefinition (-want +have):\n%s", diff)
			}
			for _, d := range cfg.Kinds {
				for _, v := range d.Spec.Versions {
					if problems := crd.CheckSchema(v.Schema.OpenAPIV3Schema); len(problems) > 0 {
						t.Errorf("the schema is not structural: %+v", problems)
					}
				}
			}
			text, err := config.Effective(cfg, config.CUE)
			if err != nil {
				t.Fatal(err)
			}
			again := mustLoad(t, write(t, "again.cue", string(text)))
			if diff := cmp.Diff(have, printed(t, again.Kinds)); diff != "" {
				t.Errorf("after print and load (-before +after):\n%s", diff)
			}
			encoded, err := config.Encode(cfg)
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := config.Decode(encoded, testRegistry(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(cfg.Kinds, decoded.Kinds); diff != "" {
				t.Errorf("after encode and decode (-before +after):\n%s", diff)
			}
		})
	}
}

// printed writes CustomResourceDefinitions as kooperd crds does.
func printed(t *testing.T, definitions []crd.Definition) string {
	t.Helper()
	var b strings.Builder
	for _, d := range definitions {
		text, err := yaml.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

// TestKindsChangeNoDefinition: a definition goes on when only the kinds of the file change.
func TestKindsChangeNoDefinition(t *testing.T) {
	const file = `apiVersion: "kooperd.dev/v1alpha1"
kinds: Website: {group: "demo.example.com", versions: v1: schema: spec: {html?: string}}
controllers: a: {watch: {apiVersion: "demo.example.com/v1", kind: "Website"}, where: "has(object.spec.html)", handler: log: {}}
`
	before := mustLoad(t, write(t, "f.cue", file))
	after := mustLoad(t, write(t, "f.cue", strings.Replace(file, "html?: string", "html?: string, title?: string", 1)))
	if cmp.Diff(before.Kinds, after.Kinds) == "" {
		t.Error("the kinds are the same")
	}
	if before.Definitions[0].Digest != after.Definitions[0].Digest {
		t.Error("the definition is another one")
	}
}

// TestKindsOfSeveralFiles: a kind can stand in one file and its names in another, as everything in
// a config.
func TestKindsOfSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kinds.cue":  "package p\nkinds: Website: {group: \"demo.example.com\", versions: v1: schema: spec: html!: string}\n",
		"more.cue":   "package p\nkinds: Website: versions: v1: schema: spec: title?: string\n",
		"names.yaml": "kinds: {Website: {shortNames: [ws]}}\n",
		"main.yaml":  "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := mustLoad(t, dir)
	if len(cfg.Kinds) != 1 {
		t.Fatalf("%d kinds, want 1", len(cfg.Kinds))
	}
	d := cfg.Kinds[0]
	if diff := cmp.Diff([]string{"ws"}, d.Spec.Names.ShortNames); diff != "" {
		t.Errorf("short names (-want +have):\n%s", diff)
	}
	for _, path := range []string{".spec.html", ".spec.title", ".status.conditions"} {
		if field, _ := crd.Field(d.Spec.Versions[0].Schema.OpenAPIV3Schema, path); !field.Known {
			t.Errorf("there is no %s", path)
		}
	}
}
