// Command generate writes the reference pages in docs/reference from what they describe: the schema
// of the config and of each built-in plugin, the command line, the declared metrics, and the
// functions of expressions. What stands between the generated parts is in the templates beside it.
// "make generate" runs it, and "make verify" fails when a page is not what it writes.
//
//	go run . ../reference
package main

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

//go:generate go run . ../reference ../../charts/kooperd/values.schema.json

//go:embed *.tmpl
var templates embed.FS

func main() {
	if len(os.Args) != 3 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: generate FOLDER CHART_SCHEMA")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2]); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "generate: %v\n", err)
		os.Exit(1)
	}
}

// generate writes all pages into a folder, and the schema of the config into that of the chart.
func generate(folder, chartSchema string) error {
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		return err
	}
	files := map[string]func(*handlers.Registry) ([]byte, error){
		"config.md":          configPage,
		"config.schema.json": config.JSONSchema,
		"cli.md":             commandPage,
		"metrics.md":         metricsPage,
		"expressions.md":     expressionsPage,
	}
	for _, name := range registry.Names() {
		files[filepath.Join("plugins", name+".md")] = func(r *handlers.Registry) ([]byte, error) { return pluginPage(r, name) }
	}
	if err := removeStalePlugins(filepath.Join(folder, "plugins"), registry); err != nil {
		return err
	}
	for name, write := range files {
		text, err := write(registry)
		if err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // documents are for everybody
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // documents are for everybody
			return err
		}
	}
	return writeChartSchema(chartSchema, registry)
}

// removeStalePlugins removes the pages of plugins that are gone.
func removeStalePlugins(folder string, registry *handlers.Registry) error {
	pages, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		return err
	}
	for _, page := range pages {
		name := filepath.Base(page)
		if _, ok := registry.Describe(name[:len(name)-len(".md")]); ok {
			continue
		}
		if err := os.Remove(page); err != nil { //nolint:gosec // the folder is the one that was asked for
			return err
		}
	}
	return nil
}

// page fills in the template of that name.
func page(name string, data any) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(templates, name)
	if err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return nil, fmt.Errorf("filling in the template: %w", err)
	}
	return append(bytes.TrimRight(text.Bytes(), "\n"), '\n'), nil
}
