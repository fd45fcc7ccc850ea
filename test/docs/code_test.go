package docs_test

import (
	"encoding/json"
	"fmt"
	"go/format"
	"go/parser"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/test/daemon"
)

// wholeConfig is what a complete config contains, and no fragment does.
const wholeConfig = "kooperd.dev/v1alpha1"

// field reports whether a block has a field of that name, at the top or anywhere.
func field(text, name string, anywhere bool) bool {
	indent := ""
	if anywhere {
		indent = `[ \t]*`
	}
	return regexp.MustCompile(`(?m)^` + indent + `"?` + name + `"?:`).MatchString(text)
}

// cue checks a config in CUE, or a part of one.
func (s *session) cue(t testing.TB, b block) {
	t.Helper()
	if field(b.text, "#Config", false) { // the schema of a plugin: the commands of the page register it
		if b.file == "" {
			s.fatalf(t, b, "a schema that nothing compiles: use the mark \"file\"")
		}
		return
	}
	text := b.text
	switch {
	case b.inside != "":
		text = fmt.Sprintf("%s: {\n%s\n", strings.ReplaceAll(b.inside, ".", ": "), text)
		if !field(b.text, "watch", true) {
			text += "watch: {apiVersion: \"v1\", kind: \"ConfigMap\"}\n"
		}
		if !field(b.text, "handler", true) {
			text += "handler: log: {}\n"
		}
		text += "}\napiVersion: \"kooperd.dev/v1alpha1\"\n"
	case !strings.Contains(text, wholeConfig):
		text += "\napiVersion: \"kooperd.dev/v1alpha1\"\n"
		if !field(text, "controllers", false) {
			text += "controllers: page: {watch: {apiVersion: \"v1\", kind: \"ConfigMap\"}, handler: log: {}}\n"
		}
	}
	s.validate(t, b, ".cue", text)
}

// validate loads a config as kooperd does.
func (s *session) validate(t testing.TB, b block, extension, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "block"+extension)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	binary := b.binary
	if binary == "" {
		binary = "kooperd"
	}
	out, status := s.run(t, block{line: b.line}, binary+" validate "+file)
	switch {
	case b.mistake == "" && status != 0:
		s.fatalf(t, b, "the config is refused:\n%s\n%s", out, text)
	case b.mistake != "" && status != 2:
		s.fatalf(t, b, "the config is accepted, and should say: %s", b.mistake)
	case !strings.Contains(out, b.mistake):
		s.fatalf(t, b, "the config is refused for another reason:\n%s\nwant: %s", out, b.mistake)
	}
}

// yaml checks a config, objects of Kubernetes, parts of such, or values of the chart.
func (s *session) yaml(t testing.TB, b block) {
	t.Helper()
	var top map[string]any
	for document := range strings.SplitSeq(b.text, "\n---\n") {
		if err := yaml.UnmarshalStrict([]byte(document), &top); err != nil {
			s.fatalf(t, b, "no YAML: %v", err)
		}
	}
	keys := make([]string, 0, len(top))
	for key := range top {
		keys = append(keys, key)
	}
	switch {
	case b.parseOnly != "":
	case b.inside != "":
		s.validate(t, b, ".yaml", within(t, b.inside, b.text))
	case b.values || slices.Equal(keys, []string{"rbac"}):
		s.values(t, b)
	case strings.Contains(b.text, wholeConfig):
		s.validate(t, b, ".yaml", b.text)
	case top["controllers"] != nil:
		s.validate(t, b, ".yaml", "apiVersion: kooperd.dev/v1alpha1\n"+b.text)
	case top["kind"] != nil:
		s.manifest(t, b, b.text)
	case slices.Equal(keys, []string{"rules"}):
		s.manifest(t, b, "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: page}\n"+b.text)
	case slices.Equal(keys, []string{"env"}):
		s.manifest(t, b, "apiVersion: v1\nkind: Pod\nmetadata: {name: page}\nspec:\n  containers:\n  - name: a\n    image: a\n"+indent(b.text))
	default:
		s.fatalf(t, b, "YAML of an unknown sort: mark it with \"values\" or \"parse\"")
	}
}

// within makes a config of what stands at a path, such as controllers.NAME.handler.apply, in the
// only definition. That is about a custom kind, of which nothing is known.
func within(t testing.TB, path, text string) string {
	t.Helper()
	var part map[string]any
	must(t, yaml.Unmarshal([]byte(text), &part))
	steps := strings.Split(path, ".")
	for _, step := range slices.Backward(steps[2:]) {
		part = map[string]any{step: part}
	}
	part["watch"] = map[string]any{"apiVersion": "example.com/v1", "kind": "Website"}
	whole, err := yaml.Marshal(map[string]any{"apiVersion": wholeConfig, steps[0]: map[string]any{steps[1]: part}})
	must(t, err)
	return string(whole)
}

// indent puts text into a container.
func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}

// manifest decodes objects of kinds that Kubernetes has, in which every field must be known.
func (s *session) manifest(t testing.TB, b block, text string) {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for document := range strings.SplitSeq(text, "\n---\n") {
		if _, _, err := decoder.Decode([]byte(document), nil, nil); err != nil {
			s.fatalf(t, b, "no object of Kubernetes: %v", err)
		}
	}
}

// values renders the chart with a block as values.
func (s *session) values(t testing.TB, b block) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	must(t, os.WriteFile(file, []byte(b.text), 0o600))
	s.script(t, block{line: b.line}, "helm template page $ROOT/charts/kooperd -f "+file)
}

// json checks a config in JSON, or that every line is JSON.
func (s *session) json(t testing.TB, b block) {
	t.Helper()
	if strings.Contains(b.text, wholeConfig) {
		s.validate(t, b, ".json", b.text)
		return
	}
	if json.Valid([]byte(b.text)) {
		return
	}
	for line := range strings.Lines(b.text) {
		if !json.Valid([]byte(line)) {
			s.fatalf(t, b, "neither the block nor this line of it is JSON: %s", line)
		}
	}
}

// goCode checks that Go is formatted, and a part of the file it is said to be from. What is written
// to a separate file is compiled by the commands of the page.
func (s *session) goCode(t testing.TB, b block) {
	t.Helper()
	text := b.text
	if b.from == "" {
		text = strings.ReplaceAll(text, "…", `panic("…")`)
	}
	formatted, err := format.Source([]byte(text))
	if b.from == "" && err != nil {
		s.fatalf(t, b, "no Go: %v", err)
	}
	if err == nil && string(formatted) != text {
		s.fatalf(t, b, "not as gofmt formats it:\n%s", formatted)
	}
	switch {
	case b.file != "" || b.parseOnly != "":
	case b.from != "":
		s.partOf(t, b)
	default:
		s.compile(t, b)
	}
}

// partOf wants the lines of a block in a row in a file, whatever their indentation; a line "…"
// stands for any lines.
func (s *session) partOf(t testing.TB, b block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(daemon.Root(t), b.from))
	must(t, err)
	flat := func(text string) string {
		var lines []string
		for line := range strings.Lines(text) {
			lines = append(lines, strings.TrimSpace(line))
		}
		return strings.Join(lines, "\n")
	}
	rest := flat(string(text))
	for part := range strings.SplitSeq(flat(strings.TrimSpace(b.text)), "\n…\n") {
		_, behind, found := strings.Cut(rest, part)
		if !found {
			s.fatalf(t, b, "%s does not contain\n%s", b.from, part)
		}
		rest = behind
	}
}

// fragmentImports are what an expression of a page may use.
var fragmentImports = map[string]string{
	"context": "context", "handlers": "kooperd.dev/kooperd/pkg/handlers", "corev1": "k8s.io/api/core/v1",
	"log":    "kooperd.dev/kooperd/pkg/handlers/log",
	"daemon": "kooperd.dev/kooperd/pkg/daemon", "builtin": "kooperd.dev/kooperd/pkg/handlers/builtin",
}

// compile compiles an expression, in which "…" stands for what it leaves out.
func (s *session) compile(t testing.TB, b block) {
	t.Helper()
	text := strings.ReplaceAll(b.text, "…", `panic("…")`)
	if _, err := parser.ParseExpr(text); err != nil {
		s.fatalf(t, b, "neither an expression nor marked with \"file\", \"append\" or \"from\": %v", err)
	}
	var imports strings.Builder
	for name, path := range fragmentImports {
		if strings.Contains(text, name+".") {
			fmt.Fprintf(&imports, "import %s %q\n", name, path)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "page.go")
	must(t, os.WriteFile(file, []byte("package page\n\n"+imports.String()+"\nvar _ = "+text), 0o600))
	s.script(t, block{line: b.line}, "(cd $ROOT && go vet "+file+")")
}
