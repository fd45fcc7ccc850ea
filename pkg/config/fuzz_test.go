package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// FuzzYAML wants every text either to load, and then to survive printing, or to be refused with
// positions that are in the file. A panic in the evaluator would become a diagnostic, which counts
// as a failure here.
func FuzzYAML(f *testing.F) {
	f.Add([]byte("\r\r00")) // took down CUE's own YAML decoder
	f.Add([]byte("a: \u0085\u2028b: \u2029c"))
	f.Add([]byte("a: &a [*a]"))
	for _, pattern := range []string{"testdata/*/*.yaml", "testdata/*/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: no seeds: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	registry := testRegistry(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) { fuzzOne(t, registry, dir, "f.yaml", text) })
}

func fuzzOne(t *testing.T, registry *handlers.Registry, dir, name string, text []byte) {
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(t.Context(), []string{name}, config.Options{Registry: registry})
	var diags config.Diagnostics
	switch {
	case errors.As(err, &diags):
		checkDiagnostics(t, diags, text)
		return
	case err != nil:
		t.Fatal(err)
	}
	printed, err := config.Effective(cfg, config.YAML)
	if err != nil {
		t.Fatal(err)
	}
	again := mustLoad(t, write(t, "printed.yaml", string(printed)))
	if diff := cmp.Diff(cfg, again, sameConfig); diff != "" {
		t.Errorf("printed and loaded again (-before +after):\n%s", diff)
	}
}

func checkDiagnostics(t *testing.T, diags config.Diagnostics, text []byte) {
	t.Helper()
	if len(diags) == 0 {
		t.Fatal("refused without a diagnostic")
	}
	lines := len(diags.Error()) - len(strings.ReplaceAll(diags.Error(), "\n", "")) + 1
	if lines != len(diags) {
		t.Errorf("%d diagnostics take %d lines:\n%s", len(diags), lines, diags)
	}
	for _, d := range diags {
		switch {
		case strings.Contains(d.Message, "panicked"), strings.Contains(d.Message, "takes longer"), strings.Contains(d.Hint, "mistake in kooperd"):
			t.Errorf("%s", d)
		case d.Message == "", d.Line < 0, d.Line > len(text)+1, d.Column < 0, d.Column > len(text)+1:
			t.Errorf("no place in the file: %+v", d)
		}
	}
}

// FuzzJSON is FuzzYAML for JSON.
func FuzzJSON(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	registry := testRegistry(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) { fuzzOne(t, registry, dir, "f.json", text) })
}
