package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

func compileJSONSchema(t *testing.T, registry *handlers.Registry) *jsonschema.Schema {
	t.Helper()
	text, err := config.JSONSchema(registry)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("kooperd.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("kooperd.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func yamlValue(t *testing.T, text []byte) any {
	t.Helper()
	raw, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestJSONSchemaAccepts holds the JSON Schema against every good file: what Load accepts, an editor
// must not mark.
func TestJSONSchemaAccepts(t *testing.T) {
	schema := compileJSONSchema(t, testRegistry(t))
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	printed, err := filepath.Glob("testdata/good/*.want")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, printed...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(yamlValue(t, bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestJSONSchemaRefuses holds it against the mistakes that it can see.
func TestJSONSchemaRefuses(t *testing.T) {
	schema := compileJSONSchema(t, testRegistry(t))
	const valid = `
apiVersion: kooperd.dev/v1alpha1
controllers:
  a:
    watch: {apiVersion: v1, kind: Pod}
    handler: {exec: {argv: [ls]}}
`
	if err := schema.Validate(yamlValue(t, []byte(valid))); err != nil {
		t.Fatalf("the valid config is refused: %v", err)
	}
	replace := func(old, with string) string {
		text := strings.Replace(valid, old, with, 1)
		if text == valid {
			t.Fatalf("%q is not there to replace", old)
		}
		return text
	}
	tests := map[string]string{
		"no apiVersion":       replace("apiVersion: kooperd.dev/v1alpha1", ""),
		"wrong apiVersion":    replace("v1alpha1", "v1"),
		"unknown field":       replace("controllers:", "controler: {}\ncontrollers:"),
		"unknown field below": replace("watch:", "wokers: 3\n    watch:"),
		"bad name":            replace("  a:", "  Bad_Name:"),
		"no kind":             replace(", kind: Pod", ""),
		"kind in lower case":  replace("kind: Pod", "kind: pod"),
		"number for text":     replace("apiVersion: v1,", "apiVersion: 1,"),
		"bad duration":        replace("watch:", "timeout: soon\n    watch:"),
		"too many workers":    replace("watch:", "workers: 300\n    watch:"),
		"unknown mode":        replace("watch:", "mode: parallel\n    watch:"),
		"no namespaces":       replace("kind: Pod", "kind: Pod, namespaces: []"),
		"no handler":          replace("    handler: {exec: {argv: [ls]}}\n", ""),
		"no plugin":           replace("{exec: {argv: [ls]}}", "{}"),
		"two plugins":         replace("{exec: {argv: [ls]}}", "{exec: {argv: [ls]}, log: {}}"),
		"unknown plugin":      replace("exec:", "exce:"),
		"unknown setting":     replace("argv: [ls]", "argv: [ls], arg: x"),
		"missing setting":     replace("argv: [ls]", ""),
		"setting too large":   replace("argv: [ls]", "argv: [ls], retries: 9"),
		"secret as text":      replace("argv: [ls]", "argv: [ls], token: hunter2"),
		"later field":         replace("watch:", "quota: 100\n    watch:"),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if schema.Validate(yamlValue(t, []byte(text))) == nil {
				t.Errorf("accepted:%s", text)
			}
			if _, err := load(t, write(t, "f.yaml", text)); err == nil {
				t.Errorf("Load accepts:%s", text)
			}
		})
	}
}

// TestSchemaDescribes wants the comments of the schema, the core's and the plugins', as
// descriptions.
func TestSchemaDescribes(t *testing.T) {
	registry := testRegistry(t)
	asJSON, err := config.JSONSchema(registry)
	if err != nil {
		t.Fatal(err)
	}
	asCUE, err := config.SchemaCUE(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Deadline of one handler call. Default: \\\"1m\\\".", "How long it may run. Default: 10s.", "runs a program"} {
		if !bytes.Contains(asJSON, []byte(text)) {
			t.Errorf("the JSON Schema lacks %q", text)
		}
		if !bytes.Contains(asCUE, []byte(strings.ReplaceAll(text, `\`, ""))) {
			t.Errorf("the CUE schema lacks %q", text)
		}
	}
	for range 3 {
		again, err := config.JSONSchema(registry)
		if err != nil || !bytes.Equal(asJSON, again) {
			t.Fatal("the JSON Schema differs from one time to the next")
		}
	}
}

// TestSchemaOfAwkwardPlugins composes plugins whose schemas use the same names for different
// things.
func TestSchemaOfAwkwardPlugins(t *testing.T) {
	type a struct {
		Name string `json:"name,omitempty"`
		At   string `json:"at,omitempty"`
	}
	const schemaOne = `
import (
	"strings"
	t "time"
)

let _min = 3
_limit: 10
N=#Name: strings.MinRunes(_min) & strings.MaxRunes(_limit)
#Config: {name?: N, at?: t.Time}
`
	const schemaTwo = `
import (
	t "strings"
	time "list"
)

_limit: 20
#Name: t.MaxRunes(_limit)
#NameConfig: #Name
#Config: {
	name?: #NameConfig
	let limit = _limit
	at?: string & t.MaxRunes(limit)
}
_unused: time.Range(0, 3, 1)
`
	registry, err := handlers.NewRegistry(
		handlers.Plugin[a]{Name: "hook", Summary: "one", Schema: schemaOne, New: nothing[a]},
		handlers.Plugin[a]{Name: "hook-name", Summary: "two", Schema: schemaTwo, New: nothing[a]},
	)
	if err != nil {
		t.Fatal(err)
	}
	text, err := config.SchemaCUE(registry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.ParseFile("schema.cue", text); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if err := cuecontext.New().CompileBytes(text).Validate(); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	compileJSONSchema(t, registry)
	ok := map[string]bool{
		`hook: name: "abcd"`: true, `hook: name: "ab"`: false, `hook: name: "abcdefghijk"`: false, `hook: at: "x"`: false,
		`"hook-name": name: "ab"`: true, `"hook-name": name: "abcdefghijk"`: true, `"hook-name": at: "abcdefghijklmnopqrstu"`: false,
	}
	for handler, want := range ok {
		file := write(t, "f.cue", `import "kooperd.dev/schema/v1alpha1"
v1alpha1.#Config & {
	apiVersion: "kooperd.dev/v1alpha1"
	controllers: a: {watch: {apiVersion: "v1", kind: "Pod"}, handler: `+handler+`}
}
`)
		_, err := config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
		if (err == nil) != want {
			t.Errorf("%s: Load returned %v\n%s", handler, err, text)
		}
	}
}

// TestSchemaWithoutPlugins is what an empty binary has.
func TestSchemaWithoutPlugins(t *testing.T) {
	registry, err := handlers.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	compileJSONSchema(t, registry)
	_, err = config.Load(t.Context(), []string{"testdata/good/smallest.yaml"}, config.Options{Registry: registry})
	if err != nil {
		t.Error(err)
	}
}

// TestDocumentedDefaults compares the defaults in the comments of the schema with those of the
// code.
func TestDocumentedDefaults(t *testing.T) {
	want := map[string]string{}
	text, err := os.ReadFile("../../schemas/config.cue")
	if err != nil {
		t.Fatal(err)
	}
	comment, object := "", ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch before, after, ok := strings.Cut(line, ":"); {
		case strings.HasPrefix(line, "//"):
			comment += strings.TrimPrefix(line, "//")
		case strings.HasPrefix(line, "#"):
			object = before
			comment = ""
		case ok && after != "":
			if _, value, ok := strings.Cut(comment, "Default: "); ok {
				want[object+"."+strings.TrimRight(before, "?!")] = strings.Trim(strings.TrimSuffix(value, "."), `"`)
			}
			comment = ""
		}
	}
	cfg := mustLoad(t, write(t, "f.yaml", `
apiVersion: kooperd.dev/v1alpha1
controllers: {a: {watch: {apiVersion: v1, kind: Pod}, mode: concurrent, rate: {perSecond: 1}, handler: {log: {}}}, b: {watch: {apiVersion: v1, kind: Pod}, handler: {log: {}}}}
`))
	printed, err := config.Effective(cfg, config.JSON)
	if err != nil {
		t.Fatal(err)
	}
	var have struct {
		LeaderElection map[string]any
		Controllers    map[string]map[string]any
	}
	if err := yaml.Unmarshal(printed, &have); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	add := func(object string, fields map[string]any) {
		for name := range fields {
			if _, documented := want[object+"."+name]; documented {
				text, err := yaml.Marshal(fields[name])
				if err != nil {
					t.Fatal(err)
				}
				got[object+"."+name] = strings.Trim(strings.TrimSpace(string(text)), `"`)
			}
		}
	}
	add("#LeaderElection", have.LeaderElection)
	add("#Controller", have.Controllers["a"])
	got["#Controller.mode"] = have.Controllers["b"]["mode"].(string)
	add("#Retry", have.Controllers["a"]["retry"].(map[string]any))
	add("#Rate", have.Controllers["a"]["rate"].(map[string]any))
	delete(got, "#Controller.rate")
	rollout := defaultRollout(t)
	add("#Rollout", map[string]any{"maxUnavailable": rollout["maxUnavailable"]})
	add("#PauseWhen", rollout["pauseWhen"].(map[string]any))
	for _, none := range []string{"#Controller.rate", "#Engine.maxConcurrent", "#Config.kinds", "#Controller.ignore", "#Controller.where", "#Controller.finalizer", "#Controller.status", "#Controller.conditionPrefix", "#Controller.id", "#Controller.onRemove", "#Controller.formerly", "#Controller.rollout", "#Rollout.pauseWhen", "#LeaderElection.namespace", "#Watch.namespaces", "#Watch.labelSelector", "#Watch.fieldSelector"} {
		if want[none] == "" {
			t.Errorf("%s documents no default", none)
		}
		delete(want, none) // described in words
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-documented +real):\n%s", diff)
	}
}
