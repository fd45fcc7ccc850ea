package chart

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// labelPair is one label of a series, in the text format of Prometheus.
var labelPair = regexp.MustCompile(`([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"`)

// series are the labels of all series of one metric.
type series []map[string]string

// has reports whether a series has the label.
func (s series) has(label string) bool {
	return slices.ContainsFunc(s, func(labels map[string]string) bool { _, ok := labels[label]; return ok })
}

// hasValue reports whether a series has the label with that value.
func (s series) hasValue(label, value string) bool {
	return slices.ContainsFunc(s, func(labels map[string]string) bool {
		got, ok := labels[label]
		return ok && got == value
	})
}

// parseScrape reads what /metrics answers, by the names of the series.
func parseScrape(t *testing.T, body string) map[string]series {
	t.Helper()
	found := map[string]series{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.IndexAny(line, "{ ")
		if at < 0 {
			t.Fatalf("reading /metrics: %q is no series", line)
		}
		name, labels := line[:at], map[string]string{}
		if line[at] == '{' {
			for _, pair := range labelPair.FindAllStringSubmatch(line[at:strings.LastIndexByte(line, '}')], -1) {
				labels[pair[1]] = pair[2]
			}
		}
		found[name] = append(found[name], labels)
	}
	return found
}
