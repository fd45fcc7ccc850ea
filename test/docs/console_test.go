package docs_test

import (
	"regexp"
	"strings"
	"testing"
)

// step is one command of a console block with what it prints.
type step struct {
	command string
	output  []string
}

// steps splits a console block: a line that begins with "$ " is a command, which goes on in the
// next line when it ends in a backslash; all others are output.
func steps(text string) []step {
	var all []step
	continued := false
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		command, begins := strings.CutPrefix(line, "$ ")
		switch {
		case begins:
			all = append(all, step{command: command})
		case len(all) == 0:
			all = append(all, step{output: []string{line}})
			continue
		case continued:
			all[len(all)-1].command += "\n" + line
		default:
			all[len(all)-1].output = append(all[len(all)-1].output, line)
			continue
		}
		continued = strings.HasSuffix(line, `\`)
	}
	return all
}

var instant = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)

// matcher makes a regular expression of the lines that a page shows. "…" stands for anything within
// a line, or, alone in a line, for any number of lines; one moment is as good as any other.
func matcher(shown []string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for _, line := range shown {
		if strings.TrimSpace(line) == "…" {
			b.WriteString(`([^\n]*\n)*?`)
			continue
		}
		line = regexp.QuoteMeta(strings.TrimRight(instant.ReplaceAllString(line, "<time>"), " "))
		b.WriteString(strings.ReplaceAll(line, "…", `[^\n]*?`) + `[ ]*\n`)
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

// shows reports whether output is what the page shows.
func shows(shown []string, output string) bool {
	if output != "" && !strings.HasSuffix(output, "\n") {
		output += "\n"
	}
	return matcher(shown).MatchString(instant.ReplaceAllString(output, "<time>"))
}

func TestShows(t *testing.T) {
	tests := map[string]struct {
		shown  string
		output string
		want   bool
	}{
		"the same":              {"a\nb", "a\nb\n", true},
		"no newline":            {"a", "a", true},
		"something else":        {"a", "b\n", false},
		"more":                  {"a", "a\nb\n", false},
		"less":                  {"a\nb", "a\n", false},
		"another moment":        {"since 2026-11-22T09:00:00Z: x", "since 2031-01-02T03:04:05.678Z: x\n", true},
		"anything in a line":    {"a…c", "a b c\n", true},
		"not the next line":     {"a…c", "a\nc\n", false},
		"any lines":             {"a\n…\nd", "a\nb\nc\nd\n", true},
		"no lines":              {"a\n…\nd", "a\nd\n", true},
		"no regular expression": {"a.c", "abc\n", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := shows(strings.Split(tc.shown, "\n"), tc.output); got != tc.want {
				t.Errorf("shows(%q, %q) = %t", tc.shown, tc.output, got)
			}
		})
	}
}
