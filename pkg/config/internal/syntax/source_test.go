package syntax

import (
	"os"
	"path/filepath"
	"testing"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// readText reads a file of that name and text.
func readText(t *testing.T, name, text string) *Source {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	read := Read([]string{name})
	if len(read.Diags) > 0 {
		t.Fatal(read.Diags)
	}
	return read.Files[0]
}

func TestReadMakesTextPlain(t *testing.T) {
	for name, test := range map[string]struct{ file, text, want string }{
		"byte order mark":         {"f.cue", "\ufeffa: 1\n", "a: 1\n"},
		"mark within the text":    {"f.cue", "a: \"\ufeff\"\n", "a: \"\ufeff\"\n"},
		"breaks of YAML":          {"f.yaml", "\ufeffa: 1\r\nb: 2\rc: 3\u2028d: 4\u0085", "a: 1\nb: 2\nc: 3\nd: 4\n"},
		"breaks of Windows twice": {"f.yml", "a: 1\r\n\r\nb: 2\r\n", "a: 1\n\nb: 2\n"},
		"breaks of CUE stay":      {"f.cue", "a: 1\r\n", "a: 1\r\n"},
		"breaks of JSON stay":     {"f.json", "{\"a\": \"\u2028\"}\r\n", "{\"a\": \"\u2028\"}\r\n"},
	} {
		if have := string(readText(t, test.file, test.text).Data); have != test.want {
			t.Errorf("%s: %q is read as %q, want %q", name, test.text, have, test.want)
		}
	}
}

func TestLanguageByContent(t *testing.T) {
	for text, want := range map[string]Language{
		`{"apiVersion": "kooperd.dev/v1alpha1"}`:                  JSON,
		` { "apiVersion": "kooperd.dev/v1alpha1",`:                JSON, // with a mistake in it
		"apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n":     YAML,
		"apiVersion: 'kooperd.dev/v1alpha1'\n":                    YAML,
		"# a comment\nx: {}\n":                                    YAML,
		"---\nx: {}\n":                                            YAML,
		"x: several words\n":                                      YAML, // by its syntax
		"apiVersion: \"kooperd.dev/v1alpha1\"\ncontrollers: {}\n": CUE,
		"// a comment\nx: {}\n":                                   CUE,
		"#Team: string\n":                                         CUE,
		"x: {\n":                                                  CUE, // neither
		"":                                                        CUE,
	} {
		src := newSource("-", "/dir/-", []byte(text))
		if src.Language != want {
			t.Errorf("%q is language %d, want %d", text, src.Language, want)
		}
		if cue := src.Abs == "/dir/-.cue"; cue != (want == CUE) {
			t.Errorf("%q is known to CUE as %s", text, src.Abs)
		}
	}
}

func TestPositionAt(t *testing.T) {
	const text = "ä: 1\n\nb: 2"
	for offset, want := range map[int]diagnostic.Position{
		-1:        {Line: 1, Column: 1},
		0:         {Line: 1, Column: 1},
		2:         {Line: 1, Column: 2}, // The ä has two bytes.
		5:         {Line: 1, Column: 5},
		6:         {Line: 2, Column: 1},
		7:         {Line: 3, Column: 1},
		len(text): {Line: 3, Column: 5},
		99:        {Line: 3, Column: 5},
	} {
		if have := PositionAt("", []byte(text), offset); have != want {
			t.Errorf("offset %d is %+v, want %+v", offset, have, want)
		}
	}
}
