package expression_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/expression"
)

func TestParsePath(t *testing.T) {
	tests := map[string]expression.Path{
		"status":                                    {"status"},
		"metadata.annotations":                      {"metadata", "annotations"},
		`metadata.annotations."example.com/x"`:      {"metadata", "annotations", "example.com/x"},
		`metadata.labels."a.b".c`:                   {"metadata", "labels", "a.b", "c"},
		`"status"`:                                  {"status"},
		`spec."with \"quotes\" and \\"`:             {"spec", `with "quotes" and \`},
		"metadata.annotations.example/x":            {"metadata", "annotations", "example/x"},
		`spec."x-kubernetes-list-map-keys".$ref`:    {"spec", "x-kubernetes-list-map-keys", "$ref"},
		`spec."ü"`:                                  {"spec", "ü"},
		`spec." "`:                                  {"spec", " "},
		`spec."back\slash"`:                         {"spec", `back\slash`},
		`"/".x`:                                     {"/", "x"},
		`spec.a0_b-c`:                               {"spec", "a0_b-c"},
		`metadata.annotations."kubectl.io/restart"`: {"metadata", "annotations", "kubectl.io/restart"},
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			have, err := expression.ParsePath(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

func TestParsePathMistakes(t *testing.T) {
	tests := map[string]expression.Mistake{
		"":            {Message: "names no field", Hint: `want a path such as "status" or "metadata.annotations"`},
		".status":     {Message: "paths begin with the name of a field", Hint: `did you mean "status"?`},
		"$.a.b":       {Message: "paths begin with the name of a field", Hint: `did you mean "a.b"?`},
		"/a/b/":       {Message: "paths begin with the name of a field", Hint: `did you mean "a.b"?`},
		".":           {Message: "paths begin with the name of a field"},
		"a.":          {Offset: 2, Message: "a name is missing at a dot", Hint: "put a name with dots in it in quotes"},
		"a..b":        {Offset: 2, Message: "a name is missing at a dot", Hint: "put a name with dots in it in quotes"},
		"a.b[0]":      {Offset: 3, Message: "paths do not lead into lists", Hint: "a list is compared as a whole: name the list"},
		"a[*].b":      {Offset: 1, Message: "paths do not lead into lists", Hint: "a list is compared as a whole: name the list"},
		`a['b']`:      {Offset: 1, Message: "names follow a dot and do not stand in brackets", Hint: `did you mean "a.b"?`},
		`a.b["c.d"]`:  {Offset: 3, Message: "names follow a dot and do not stand in brackets", Hint: `did you mean a.b."c.d"?`},
		`a['b'][0]`:   {Offset: 1, Message: "names follow a dot and do not stand in brackets"},
		"a.b ":        {Offset: 3, Message: "a blank is no part of it", Hint: `did you mean "a.b"?`},
		"\ta":         {Message: "a blank is no part of it", Hint: `did you mean "a"?`},
		"a.b c":       {Offset: 3, Message: "' ' cannot stand here", Hint: "put a name with such characters in it in quotes"},
		`a."ü".é`:     {Offset: 6, Message: "'é' cannot stand here", Hint: "put a name with such characters in it in quotes"},
		`a."b`:        {Offset: 2, Message: "the quotes are not closed"},
		`a."b\`:       {Offset: 2, Message: "the quotes are not closed"},
		`a."b"c`:      {Offset: 5, Message: "want a dot after a name in quotes"},
		`a.""`:        {Offset: 2, Message: "a name in quotes is empty"},
		`a."b".`:      {Offset: 6, Message: "a name is missing at a dot", Hint: "put a name with dots in it in quotes"},
		"a.*":         {Offset: 2, Message: "'*' cannot stand here", Hint: "put a name with such characters in it in quotes"},
		"metadata.é.": {Offset: 9, Message: "'é' cannot stand here", Hint: "put a name with such characters in it in quotes"},
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			p, err := expression.ParsePath(text)
			var have *expression.Mistake
			if !errors.As(err, &have) {
				t.Fatalf("ParsePath returned %v, %v, want a mistake", p, err)
			}
			if diff := cmp.Diff(want, *have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// FuzzParsePath wants every path that is read to be printed such that it is read as the same.
func FuzzParsePath(f *testing.F) {
	for _, text := range []string{"status", `metadata.annotations."example.com/x"`, `"$".a`, `"/a".b`, `a."\\\""`, "a..b", `$`, "\"\xff\""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := expression.ParsePath(text)
		if err != nil {
			var m *expression.Mistake
			if !errors.As(err, &m) || m.Message == "" || m.Offset < 0 || m.Offset > len([]rune(text)) {
				t.Fatalf("%q: bad mistake %#v", text, err)
			}
			return
		}
		again, err := expression.ParsePath(p.String())
		if err != nil {
			t.Fatalf("%q is printed as %q, which is refused: %v", text, p, err)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Fatalf("%q is printed as %q (-before +after):\n%s", text, p, diff)
		}
	})
}
