package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/config"
)

var update = flag.Bool("update", false, "write the .want files of testdata/bad anew")

// TestBadFixtures loads every file and directory of testdata/bad and compares the diagnostics with
// the .want beside it.
func TestBadFixtures(t *testing.T) {
	registry := testRegistry(t)
	t.Chdir(filepath.Join("testdata", "bad"))
	for _, name := range fixtures(t, ".") {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(t.Context(), []string{name}, config.Options{Registry: registry})
			var diags config.Diagnostics
			if !errors.As(err, &diags) {
				t.Fatalf("Load returned %v, want Diagnostics", err)
			}
			have := diags.Error() + "\n"
			if lines := strings.Count(have, "\n"); lines != len(diags) {
				t.Errorf("%d diagnostics take %d lines", len(diags), lines)
			}
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
				t.Errorf("diagnostics (-want +have):\n%s", diff)
			}
		})
	}
}

// fixtures returns the entries of a directory that are no .want files.
func fixtures(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".want") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}
