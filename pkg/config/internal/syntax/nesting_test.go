package syntax

import (
	"strings"
	"testing"
)

func TestCheckNesting(t *testing.T) {
	deep := func(n int, open, core, end string) string {
		return strings.Repeat(open, n) + core + strings.Repeat(end, n)
	}
	for name, test := range map[string]struct {
		within, beyond string
	}{
		"objects":        {deep(199, "{a: ", "1", "}"), deep(200, "{a: ", "1", "}")},
		"lists":          {"a: " + deep(200, "[", "", "]"), "a: " + deep(201, "[", "", "]")},
		"chains":         {deep(200, "a: ", "1", ""), deep(201, "a: ", "1", "")},
		"parentheses":    {"a: " + deep(200, "(", "1", ")"), "a: " + deep(201, "(", "1", ")")},
		"interpolations": {"a: " + deep(66, `"\({b: `, "1", `}.b)"`), "a: " + deep(67, `"\({b: `, "1", `}.b)"`)},
		"operators":      {"a: 1" + strings.Repeat("+1", 2000), "a: 1" + strings.Repeat("+1", 2001)},
		"selectors":      {"a: b" + strings.Repeat(".c", 2000), "a: b" + strings.Repeat(".c", 2001)},
	} {
		if d, bad := checkNesting(newSource("f.cue", "/f.cue", []byte(test.within))); bad {
			t.Errorf("%s: refused at %s", name, d)
		}
		if _, bad := checkNesting(newSource("f.cue", "/f.cue", []byte(test.beyond))); !bad {
			t.Errorf("%s: one more is taken", name)
		}
	}
	flat := map[string]string{
		"fields":           strings.Repeat("a: {b: 1}\n", 300),
		"brackets in text": `a: "` + strings.Repeat("{[(", 300) + `"`,
		"in comments":      "// " + strings.Repeat("{", 300) + "\na: 1",
		"operators apart":  strings.Repeat("a: 1 + 1\n", 3000),
		"unbalanced":       strings.Repeat("}", 300),
	}
	for name, text := range flat {
		if d, bad := checkNesting(newSource("f.cue", "/f.cue", []byte(text))); bad {
			t.Errorf("%s: refused at %s", name, d)
		}
	}
}
