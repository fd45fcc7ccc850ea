package explain

import (
	"strings"
	"testing"

	"cuelang.org/go/cue/cuecontext"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/syntax"
)

// TestTextPosition looks for a § inside the string under w. It must be found where the file has the
// §, or where the file has it as an escape.
func TestTextPosition(t *testing.T) {
	for name, test := range map[string]struct {
		in     syntax.Language
		text   string
		escape string // as the file has the §, if it is escaped
	}{
		"CUE":                    {in: syntax.CUE, text: `w: "ab §c"`},
		"CUE, escapes":           {in: syntax.CUE, text: `w: "\"\\\u00e4\U0001F600\t§"`},
		"CUE, escaped":           {in: syntax.CUE, text: `w: "a\u00a7b"`, escape: `\u00a7`},
		"CUE, raw":               {in: syntax.CUE, text: `w: #"a"\n \#n§"#`},
		"CUE, several lines":     {in: syntax.CUE, text: "w: \"\"\"\n\ta\n\t  b §\n\t\"\"\""},
		"CUE, raw lines":         {in: syntax.CUE, text: "w: #\"\"\"\n\ta \"\\n\"\n\t§\n\t\"\"\"#"},
		"CUE, referred to":       {in: syntax.CUE, text: "_c: \"ä §\"\nw: _c"},
		"CUE, with a constraint": {in: syntax.CUE, text: "w: string\nw: \"ä §\""},
		"JSON":                   {in: syntax.JSON, text: `{"w": "a\/\b §"}`},
		"JSON, two halves":       {in: syntax.JSON, text: `{"w": "\ud83d\ude00 §"}`},
		"JSON, escaped":          {in: syntax.JSON, text: `{"w": "\ud83d\ude00\u00a7"}`, escape: `\u00a7`},
		"YAML, plain":            {in: syntax.YAML, text: "w: a \"b\" '§'\n"},
		"YAML, plain lines":      {in: syntax.YAML, text: "w: a\n  b\n\n  ä§\n"},
		"YAML, single quotes":    {in: syntax.YAML, text: "w: 'a ''b'' \\n §'\n"},
		"YAML, double quotes":    {in: syntax.YAML, text: `w: "\e\x41\u00e4\_\N §"` + "\n"},
		"YAML, a line goes on":   {in: syntax.YAML, text: "w: \"ab\\\n   c §\"\n"},
		"YAML, literal":          {in: syntax.YAML, text: "w: |\n  a\n    b §\n"},
		"YAML, folded":           {in: syntax.YAML, text: "w: >-  # folded\n\n  a\n  b\n\n  §\n"},
		"YAML, anchor and tag":   {in: syntax.YAML, text: "w: !!str &a \"b §\"\n"},
		"YAML, alias":            {in: syntax.YAML, text: "x-c: &c 'a §'\nw: *c\n"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := document(t, cuecontext.New(), test.in, test.text)
			mark := test.escape
			if mark == "" {
				mark = "§"
			}
			want := syntax.PositionAt(doc.first.Name, doc.first.Data, strings.Index(test.text, mark))
			if have, ok := find(t, doc); !ok || have != want {
				t.Errorf("found at %s (%t), want %s", have, ok, want)
			}
		})
	}
}

// find returns the place of the § in the string under w.
func find(t *testing.T, doc *Document) (diagnostic.Position, bool) {
	t.Helper()
	at := diagnostic.Path{"w"}
	text, err := doc.Lookup(at).String()
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(text, "§")
	return doc.TextPosition(at, text, len([]rune(before)))
}

// TestTextPositionUnknown has strings that no literal holds as a whole.
func TestTextPositionUnknown(t *testing.T) {
	for name, text := range map[string]string{
		"a sum":            `w: "a" + "§"`,
		"an interpolation": "_a: \"x\"\nw: \"\\(_a) §\"",
		"a default":        `w: string | *"§"`,
	} {
		doc := document(t, cuecontext.New(), syntax.CUE, text)
		have, ok := find(t, doc)
		if want := syntax.PositionAt("f.cue", doc.first.Data, strings.Index(text, "w: ")+3); ok || have != want {
			t.Errorf("%s: found at %s (%t), want the value at %s", name, have, ok, want)
		}
	}
}

// TestTextPositionAtTheEnd looks for what is missing behind the last character.
func TestTextPositionAtTheEnd(t *testing.T) {
	for text, want := range map[string]diagnostic.Position{
		"w: \"a &&  \"\n":          {File: "f.yaml", Line: 1, Column: 9},
		"w: |\n  a &&\n\nx: 1\n":   {File: "f.yaml", Line: 2, Column: 7},
		"w: >\n  (a\n  && b\n  \n": {File: "f.yaml", Line: 3, Column: 7},
	} {
		doc := document(t, cuecontext.New(), syntax.YAML, text)
		at := diagnostic.Path{"w"}
		value, err := doc.Lookup(at).String()
		if err != nil {
			t.Fatal(err)
		}
		if have, ok := doc.TextPosition(at, value, len([]rune(value))); !ok || have != want {
			t.Errorf("%q: the end is at %s (%t), want %s", text, have, ok, want)
		}
	}
}
