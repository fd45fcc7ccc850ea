package syntax

import (
	"strings"
	"testing"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/format"
	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// parse reads YAML, and returns it as JSON.
func parse(t *testing.T, text string) (string, diagnostic.Diagnostics) {
	t.Helper()
	src := newSource("f.yaml", "/f.yaml", []byte(text))
	tree, diags := ParseYAML(src)
	if tree == nil || len(diags) > 0 {
		return "", diags
	}
	json, err := cuecontext.New().BuildFile(tree).MarshalJSON()
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return string(json), diags
}

func TestParseYAML(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"words":                     {"{a: true, b: no, c: ~, d: null, e: 'true', f: }", `{"a":true,"b":"no","c":null,"d":null,"e":"true","f":null}`},
		"numbers":                   {"{a: 010, b: 0o10, c: 0x10, d: 1_000, e: +5, f: 1.5, g: 1e3, h: '5'}", `{"a":8,"b":8,"c":16,"d":1000,"e":5,"f":1.5,"g":1000.0,"h":"5"}`},
		"times are text":            {"a: 2026-01-02", `{"a":"2026-01-02"}`},
		"keys are text":             {"{1: a, true: b, 2026-01-02: c}", `{"1":"a","true":"b","2026-01-02":"c"}`},
		"an anchor":                 {"x-own: &a {b: 1}\nc: *a\nd: *a", `{"c":{"b":1},"d":{"b":1}}`},
		"an anchor as a key":        {"x-own: &a b\n*a : 1", `{"b":1}`},
		"own keys at the root only": {"x-a: 1\nb: {x-c: 2}", `{"b":{"x-c":2}}`},
		"merged, nearer counts":     {"x-own: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}", `{"d":{"c":3,"b":1}}`},
		"merged, first counts":      {"x-own: [&a {b: 1}, &c {b: 2, d: 3}]\ne: {<<: [*a, *c]}", `{"e":{"b":1,"d":3}}`},
		"merged twice":              {"x-own: [&a {b: 1}, &c {<<: *a, d: 3}]\ne: {<<: *c}", `{"e":{"d":3,"b":1}}`},
		"empty documents around":    {"---\n---\na: 1\n---\n", `{"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			have, diags := parse(t, test.text)
			if len(diags) > 0 || have != test.want {
				t.Errorf("%s %v, want %s", have, diags, test.want)
			}
		})
	}
}

// TestNumbersThatCUELacks are mistakes that leave the rest of the file to be checked, unless there
// is another one that does not.
func TestNumbersThatCUELacks(t *testing.T) {
	src := newSource("f.yaml", "/f.yaml", []byte("a: .nan\nb: [1, -.inf]\nc: d\n"))
	tree, diags := ParseYAML(src)
	if tree == nil || len(diags) != 2 {
		t.Fatalf("file %v, mistakes %v, want a file and two mistakes", tree, diags)
	}
	if diff := cmp.Diff([]diagnostic.Path{{"a"}, {"b", "[1]"}}, src.Reported); diff != "" {
		t.Errorf("reported (-want +have):\n%s", diff)
	}
	text, err := format.Node(&ast.StructLit{Elts: tree.Decls}, format.Simplify())
	if want := "{\n\ta: _\n\tb: [1, _]\n\tc: \"d\"\n}"; err != nil || string(text) != want {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
	src = newSource("f.yaml", "/f.yaml", []byte("a: .nan\nb: 1\nb: 2\n"))
	if tree, diags := ParseYAML(src); tree != nil || len(diags) != 2 {
		t.Errorf("file %v, mistakes %v, want no file and two mistakes", tree, diags)
	}
}

func TestParseYAMLMistakes(t *testing.T) {
	lines := func(of ...string) string { return strings.Join(of, "\n") }
	for name, test := range map[string]struct{ text, want string }{
		"a key twice":                   {"a:\n  b: 1\n  'b': 2\n", "f.yaml:3:3: a.b: the key is there twice, first on line 2"},
		"a key twice, shown by aliases": {"x-own: &a {b: 1, b: 2}\nc: *a\nd: *a\n", `f.yaml:1:18: x-own.b: the key is there twice, first on line 1`},
		"columns count characters":      {"ä: {é: 1, é: 2}\n", `f.yaml:1:11: "ä"."é": the key is there twice, first on line 1`},
		"an anchor in itself":           {"a: &b {c: *b}\n", `f.yaml:1:11: a.c.c: the anchor "b" contains itself`},
		"an anchor merged in itself":    {"a: &b {<<: *b}\n", `f.yaml:1:12: a: the anchor "b" contains itself`},
		"a second document":             {"a: 1\n---\nb: 2\n", "f.yaml:3:1: a second YAML document begins here; put it into a file of its own, or merge it into the first"},
		"a tag":                         {"a: !own 1\n", "f.yaml:1:4: a: the YAML tag !own has no meaning here; leave it out"},
		"no number":                     {"a: .nan\nb: -.inf\n", lines(`f.yaml:1:4: a: .nan is not a finite number; write ".nan" in quotes for a text`, `f.yaml:2:4: b: -.inf is not a finite number; write "-.inf" in quotes for a text`)},
		"no object":                     {"- a\n", "f.yaml:1:1: want an object with apiVersion and controllers, have a list"},
		"too deep":                      {"a: " + strings.Repeat("[", maxNesting+1) + strings.Repeat("]", maxNesting+1), "f.yaml:1:204: nested more than 200 levels deep"},
		"aliases that multiply": {lines(
			"x-a: &a [1,1,1,1,1,1,1,1,1,1]", "x-b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]", "x-c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]",
			"x-d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]", "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]"), "the file's aliases stand for more than 50000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := parse(t, test.text)
			have := diags.Error()
			if strings.HasPrefix(test.want, "f.yaml") {
				if diff := cmp.Diff(test.want, have); diff != "" {
					t.Errorf("(-want +have):\n%s", diff)
				}
			} else if len(diags) != 1 || !strings.Contains(have, test.want) {
				t.Errorf("%s, want %s", have, test.want)
			}
		})
	}
}
