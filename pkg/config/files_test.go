package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/config"
)

// sameElsewhere takes the files of a config, and the config itself, to another process and back.
func sameElsewhere(t *testing.T, path string, cfg *config.Config) {
	t.Helper()
	read, err := config.Read(t.Context(), []string{path})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(read.List())
	if err != nil {
		t.Fatal(err)
	}
	var list []config.File
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	files, err := config.NewFiles(list...)
	if err != nil {
		t.Fatal(err)
	}
	registry := testRegistry(t)
	again, imported, err := config.Evaluate(t.Context(), files, config.Options{Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cfg, again, elsewhere); diff != "" {
		t.Errorf("the files evaluated elsewhere (-before +after):\n%s", diff)
	}
	if own := files.Hash(); (own == cfg.Hash) != (len(again.Files) == len(list)) {
		t.Errorf("the hash of the files is %s, that of the config %s, with %q imported", own, cfg.Hash, imported)
	}
	if text, err = config.Encode(cfg); err != nil {
		t.Fatal(err)
	}
	decoded, err := config.Decode(text, registry)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cfg, decoded, elsewhere); diff != "" {
		t.Errorf("encoded and decoded (-before +after):\n%s", diff)
	}
}

// elsewhere compares with Hash and Files, which sameConfig does not.
var elsewhere = sameConfig[1:]

// TestHashOfDirectories exchanges two files between two modules, in which the same import is
// another package. That makes other definitions of the same texts, so the hash must differ.
func TestHashOfDirectories(t *testing.T) {
	const module = "module: \"example.com/config@v0\"\nlanguage: version: \"v0.17.0\"\n"
	file := func(kind string) string {
		return `package controllers

import "example.com/config/teams"

apiVersion: "kooperd.dev/v1alpha1"
controllers: {for t in teams.All {("` + strings.ToLower(kind) + `s-" + t): {watch: {apiVersion: "v1", kind: "` + kind + `"}, handler: log: {}}}}
`
	}
	load := func(inA, inB string) (hash string, names []string) {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"a/cue.mod/module.cue": module, "a/teams/teams.cue": "package teams\n\nAll: [\"payments\"]\n", "a/controllers.cue": file(inA),
			"b/cue.mod/module.cue": module, "b/teams/teams.cue": "package teams\n\nAll: [\"search\"]\n", "b/controllers.cue": file(inB),
		} {
			name = filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg, err := config.Load(t.Context(), []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}, config.Options{Registry: testRegistry(t)})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range cfg.Definitions {
			names = append(names, d.Name)
		}
		return cfg.Hash, names
	}
	before, names := load("Pod", "Service")
	if diff := cmp.Diff([]string{"pods-payments", "services-search"}, names); diff != "" {
		t.Errorf("the definitions (-want +have):\n%s", diff)
	}
	exchanged, names := load("Service", "Pod")
	if diff := cmp.Diff([]string{"pods-search", "services-payments"}, names); diff != "" {
		t.Errorf("the definitions of the exchanged files (-want +have):\n%s", diff)
	}
	if again, _ := load("Pod", "Service"); again != before || exchanged == before {
		t.Errorf("the hash is %s, that of the same elsewhere %s, and that of the exchanged files %s", before, again, exchanged)
	}
}

// TestImported checks that what a config depends on is known, also while it has a mistake.
func TestImported(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cue.mod/module.cue": "module: \"example.com/config@v0\"\nlanguage: version: \"v0.17.0\"\n",
		"teams/teams.cue":    "package teams\n\nAll: [\"payments\"]\n",
		"controllers.cue": `package controllers

import "example.com/config/teams"

apiVersion: "kooperd.dev/v1alpha1"
controllers: {for t in teams.All {(t): {watch: {apiVersion: "v1", kind: "Pod"}, handler: log: {}}}}
`,
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{filepath.Join(dir, "cue.mod", "module.cue"), filepath.Join(dir, "teams", "teams.cue")}
	evaluate := func() (imported []string, err error) {
		files, err := config.Read(t.Context(), []string{filepath.Join(dir, "controllers.cue")})
		if err != nil {
			t.Fatal(err)
		}
		_, imported, err = config.Evaluate(t.Context(), files, config.Options{Registry: testRegistry(t)})
		return imported, err
	}
	imported, err := evaluate()
	if diff := cmp.Diff(want, imported); err != nil || diff != "" {
		t.Errorf("imported, with error %v (-want +have):\n%s", err, diff)
	}
	if err := os.WriteFile(want[1], []byte("package teams\n\nAll: [\"Payments\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	imported, err = evaluate()
	if _, bad := errors.AsType[config.Diagnostics](err); !bad || !cmp.Equal(want, imported) {
		t.Errorf("after a mistake: imported %q, error %v", imported, err)
	}
}

// TestNewFilesRefuses checks that texts from elsewhere are held to what files are.
func TestNewFilesRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		file config.File
		want string
	}{
		"binary":  {config.File{Name: "configmap:a/b/c.yaml", Path: "/a/b/c.yaml", Data: []byte("a: \x00")}, "configmap:a/b/c.yaml:1:4: has a NUL byte"},
		"too big": {config.File{Name: "c.yaml", Path: "/c.yaml", Data: bytes.Repeat([]byte("#"), 5<<20)}, "c.yaml: the config is larger than 4 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := config.NewFiles(tc.file); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("NewFiles returned %v, want %s…", err, tc.want)
			}
		})
	}
	if _, err := config.NewFiles(); err == nil {
		t.Error("NewFiles of nothing has no error")
	}
}

// TestDecodeRefuses checks that a text that no Encode has made is an error, and no panic.
func TestDecodeRefuses(t *testing.T) {
	const pods = `{"watch":{"apiVersion":"v1","kind":"Pod"},"mode":"sequential","retry":{}`
	for name, text := range map[string]string{
		"nothing":       ``,
		"no config":     `{"hash":"a"}`,
		"no handler":    `{"config":{"apiVersion":"kooperd.dev/v1alpha1","controllers":{"a":` + pods + `}}}}`,
		"no such kind":  `{"config":{"apiVersion":"kooperd.dev/v1alpha1","controllers":{"a":` + pods + `,"handler":{"nope":{}}}}}}`,
		"unknown field": `{"config":{"apiVersion":"kooperd.dev/v1alpha1","controllers":{},"more":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if cfg, err := config.Decode([]byte(text), testRegistry(t)); err == nil {
				t.Errorf("Decode returned %+v", cfg)
			}
		})
	}
}
