package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

// TestDescribe reads a schema with everything that a plugin's may have.
func TestDescribe(t *testing.T) {
	l, err := readLanguage(`
// Config of a plugin.
#Config: {
	// What it
	// is called.
	name!: =~"^a" @want("something with a")

	// How long.
	//
	// It is never too long. Default: "5s", or "1m" at night.
	wait?: #Duration

	// Secrets.
	tokens?: [string]: #Secret

	// Ports. Default: none.
	ports?: [...int & >=1 & <=65535]

	// How. Default: "a".
	mode?: "a" | "b" | #Mode

	// Inside.
	inside?: [...{
		// A switch. Default: false.
		on?: bool
	}]
}

// Of many words.
#Mode: {
	// One.
	one!: #DNSLabel
}
`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.describe("handler.x")
	if err != nil {
		t.Fatal(err)
	}
	want := []*field{
		{Path: "handler.x.name", Doc: "What it is called.", Type: "string", Want: "something with a", Required: true},
		{Path: "handler.x.wait", Doc: "How long.\n\nIt is never too long.", Type: "[duration](#duration)", Default: `"5s", or "1m" at night`},
		{Path: "handler.x.tokens", Doc: "Secrets.", Type: "map of names to [secrets](#secret)"},
		{Path: "handler.x.ports", Doc: "Ports.", Type: "list of whole numbers from 1 to 65535", Default: "none"},
		{Path: "handler.x.mode", Doc: "How.", Type: "`\"a\"` or `\"b\"` or object", Default: `"a"`, Of: "Of many words.", Fields: []*field{{
			Path: "handler.x.mode.one", Doc: "One.", Type: "string", Required: true,
			Want: "a DNS label: lower-case letters, digits and '-', at most 63 characters",
		}}},
		{Path: "handler.x.inside", Doc: "Inside.", Type: "list of objects", Fields: []*field{{
			Path: "handler.x.inside[].on", Doc: "A switch.", Type: "`true` or `false`", Default: "false",
		}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// TestDefaults compares the defaults that the schemas of the built-in plugins tell with those that
// they have.
func TestDefaults(t *testing.T) {
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]string{"log": `{}`, "exec": `{"command":["true"]}`} {
		d, _ := registry.Describe(name)
		l, err := readLanguage(d.Schema)
		if err != nil {
			t.Fatal(err)
		}
		fields, err := l.describe("")
		if err != nil {
			t.Fatal(err)
		}
		bound, problems, err := registry.Bind(name, []byte(config))
		if err != nil || problems != nil {
			t.Fatalf("Bind: %+v, %v", problems, err)
		}
		var have map[string]json.RawMessage
		if err := json.Unmarshal(bound.JSON(), &have); err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			if f.Default == "" || f.Default == "none" || strings.Contains(f.Default, " alone") {
				continue
			}
			if _, ok := have[f.Path]; !ok && d.Composes {
				continue // It is for composers, and this is a handler.
			}
			if got := string(have[f.Path]); got != f.Default {
				t.Errorf("%s.%s: the default is %s, and its comment says %s", name, f.Path, got, f.Default)
			}
		}
	}
}

// TestGenerate writes the pages, beside that of a plugin that is gone. It can do so once in a
// process, because client-go has one place for whom it reports to.
func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "plugins", "gone.md")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	chart := filepath.Join(dir, "values.schema.json")
	alerts := filepath.Join(dir, "files", "alerts.yaml")
	if err := os.MkdirAll(filepath.Dir(alerts), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		chart:  "{\n    \"alertName\": {},\n    \"kooperdConfig\": {},\n    \"other\": {}\n}\n",
		alerts: "groups:\n- rules:\n  - alert: One\n  - alert: Two\n- rules:\n  - alert: Three\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := generate(dir, chart); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the page of a plugin that is gone is still there")
	}
	pages := read(t, dir)
	if have := pages["values.schema.json"]; !json.Valid([]byte(have)) || strings.Contains(have, `"description":"`) {
		t.Errorf("the schema of the chart is %s", have)
	}
	if want := `"alertName": {"enum": ["One","Two","Three"]},`; !strings.Contains(pages["values.schema.json"], want) {
		t.Errorf("the schema of the chart has no %s", want)
	}
	for file, text := range map[string]string{
		"config.md":          "### <a id=\"controllers.workers\"></a>`workers`\n\n*whole number from 1 to 256* · default: 3\n",
		"plugins/exec.md":    "`handler.exec.grace`",
		"cli.md":             "| `--shutdown-timeout` | duration | `25s` |",
		"metrics.md":         "| `kooperd_leader` | gauge |",
		"expressions.md":     "| `list(T).distinct() → list(T)` | The list without repetitions. | `[1, 2, 1].distinct()` | `[1,2]` |",
		"values.schema.json": `"$ref":"#/$defs/kooperdConfig/$defs/Controllers"`,
	} {
		if !strings.Contains(pages[file], text) {
			t.Errorf("%s does not contain %q", file, text)
		}
	}
}

// read returns the files of a folder.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"*", "plugins/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // a folder
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				t.Fatal(err)
			}
			files[rel] = string(text)
		}
	}
	return files
}

func TestMarkdown(t *testing.T) {
	tests := map[string]string{
		`write "a" or $HOME`:       "write `\"a\"` or `$HOME`",
		`a quote in it, "a.\"b\""`: "a quote in it, `\"a.\\\"b\\\"\"`",
		`{env: "A": "B"}`:          "{env: `\"A\": \"B\"`}",
		"`object` and \"x\"":       "`object` and `\"x\"`",
	}
	for text, want := range tests {
		if have := markdown(text); have != want {
			t.Errorf("%s: have %s, want %s", text, have, want)
		}
	}
}
