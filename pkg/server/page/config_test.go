package page

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/server/page/pagetest"
)

func TestConfigText(t *testing.T) {
	text := newConfigText("a: 1\nb: \u202e" + strings.Repeat("x", 10*maxDiffWidth) + "\n  c: {}\n")
	if len(text.Lines) != 3 || text.Left != 0 || text.Lines[2] != "  c: {}" || len([]rune(text.Lines[1])) != maxDiffWidth || strings.Contains(text.Lines[1], "\u202e") {
		t.Errorf("%q, and %d more", text.Lines, text.Left)
	}
	if text := newConfigText(strings.Repeat("a: 1\n", maxConfigLines+30)); len(text.Lines) != maxConfigLines || text.Left != 30 {
		t.Errorf("%d lines, and %d more", len(text.Lines), text.Left)
	}
	wide := strings.Repeat(strings.Repeat("<", maxDiffWidth)+"\n", 1000)
	text = newConfigText(wide + "a: 1\n")
	if n := len(text.Lines); n == 0 || n*maxDiffWidth*len("&lt;") > maxDiffBytes || n+text.Left != 1001 || text.Lines[n-1] == "a: 1" {
		t.Errorf("%d lines, and %d more", n, text.Left)
	}
}

// TestConfigOfDefinition: the page of a definition has its config, folded, and leads to what it has
// no room for.
func TestConfigOfDefinition(t *testing.T) {
	r := pagetest.Everything()
	d := &r.Whole.Definitions[0]
	d.Config = "handler:\n  log: {}\nwhere: a < b\n" + strings.Repeat("x: 1\n", maxConfigLines)
	h := New(r, logr.Discard())
	text := get(t, h, "/definitions/"+d.Name).text
	for _, want := range []string{
		`<details data-key="config"><summary>`, "<span class=\"same\">  log: {}\n</span>", "where: a &lt; b", "and 3 more lines, as JSON",
		fmt.Sprintf(`href="../definitions/%s?format=json"`, d.Name),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	d.Config = ""
	if text := get(t, New(r, logr.Discard()), "/definitions/"+d.Name).text; strings.Contains(text, `data-key="config"`) {
		t.Error("the page has a config, and none is known")
	}
}
