package builtin_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

const importPath = "kooperd.dev/kooperd/pkg/handlers/"

// notPlugins are the folders beside this one that hold no plugin.
var notPlugins = []string{"builtin", "handlerstest"}

// pluginFolders returns the names of the folders that hold a plugin each.
func pluginFolders(t *testing.T, root string) []string {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, entry := range entries {
		if !entry.IsDir() || slices.Contains(notPlugins, entry.Name()) {
			continue
		}
		files, err := filepath.Glob(filepath.Join(root, entry.Name(), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) > 0 {
			folders = append(folders, entry.Name())
		}
	}
	return folders
}

// missing says which lines have to be added to Plugins for it to have the plugin of every folder.
func missing(folders []string, plugins []handlers.AnyPlugin) []string {
	var lines []string
	for _, folder := range folders {
		listed := slices.ContainsFunc(plugins, func(p handlers.AnyPlugin) bool { return p.Describe().Package == importPath+folder })
		if !listed {
			lines = append(lines, fmt.Sprintf("add the line %q to Plugins in pkg/handlers/builtin/builtin.go", "\t\t"+folder+".Plugin,"))
		}
	}
	return lines
}

func TestEveryPluginIsListed(t *testing.T) {
	folders := pluginFolders(t, "..")
	if !slices.Contains(folders, "log") || !slices.Contains(folders, "exec") {
		t.Fatalf("plugin folders are %q: want log and exec among them", folders)
	}
	for _, line := range missing(folders, builtin.Plugins()) {
		t.Error(line)
	}
}

func TestMissingNamesTheLine(t *testing.T) {
	root := t.TempDir()
	for _, file := range []string{"log/log.go", "mail/mail.go", "handlerstest/env.go", "drawings/plan.txt"} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := missing(pluginFolders(t, root), builtin.Plugins())
	want := []string{`add the line "\t\tmail.Plugin," to Plugins in pkg/handlers/builtin/builtin.go`}
	if !slices.Equal(got, want) {
		t.Errorf("missing = %q, want %q", got, want)
	}
}

func TestPluginsRegister(t *testing.T) {
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(registry.Names()), len(pluginFolders(t, "..")); got != want {
		t.Errorf("%d plugins are listed, there are %d folders", got, want)
	}
	plugins := builtin.Plugins()
	plugins[0] = nil
	if builtin.Plugins()[0] == nil {
		t.Error("a caller's change shows in Plugins")
	}
}

// TestPluginsAreWhole checks that every folder has what a plugin consists of.
func TestPluginsAreWhole(t *testing.T) {
	for _, folder := range pluginFolders(t, "..") {
		t.Run(folder, func(t *testing.T) {
			for _, file := range []string{"README.md", "schema.cue"} {
				if _, err := os.Stat(filepath.Join("..", folder, file)); err != nil {
					t.Errorf("every plugin has a %s: %v", file, err)
				}
			}
			tests, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range tests {
				source, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(source, []byte("handlerstest.Check(")) {
					return
				}
			}
			t.Error("no test calls handlerstest.Check")
		})
	}
}
