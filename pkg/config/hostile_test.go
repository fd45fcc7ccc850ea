package config_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const cueHead = "apiVersion: \"kooperd.dev/v1alpha1\"\n"

// TestRefusedUnevaluated gives files that would take the process down, or much of it, if they were
// evaluated. Each must be refused at once.
func TestRefusedUnevaluated(t *testing.T) {
	yamlHead := "apiVersion: kooperd.dev/v1alpha1\n"
	tests := map[string]struct {
		file, text, want string
	}{
		"chain of fields":     {"f.cue", strings.Repeat("a:", 500_000) + "1", "nested more than 200 levels deep"},
		"chain over lines":    {"f.cue", strings.Repeat("a:\n", 500_000) + "1", "nested more than 200 levels deep"},
		"nested structs":      {"f.cue", strings.Repeat("{a:", 500_000), "nested more than 200 levels deep"},
		"nested lists":        {"f.cue", "a: " + strings.Repeat("[", 1_000_000), "nested more than 200 levels deep"},
		"nested parentheses":  {"f.cue", "a: " + strings.Repeat("(", 1_000_000), "nested more than 200 levels deep"},
		"nested strings":      {"f.cue", "a: " + strings.Repeat(`"\(`, 500_000), "nested more than 200 levels deep"},
		"sum":                 {"f.cue", "a: 1" + strings.Repeat("+1", 1_000_000), "more than 2000 operators follow each other"},
		"negations":           {"f.cue", "a: " + strings.Repeat("!", 1_000_000) + "true", "more than 2000 operators follow each other"},
		"selectors":           {"f.cue", "a: b" + strings.Repeat(".b", 1_000_000), "more than 2000 operators follow each other"},
		"indices":             {"f.cue", "a: b" + strings.Repeat("[0]", 1_000_000), "more than 2000 operators follow each other"},
		"comprehensions":      {"f.cue", "a: [" + strings.Repeat("for x in [1] ", 300_000) + "{1}]", "more than 2000 operators follow each other"},
		"sum in a string":     {"f.cue", `a: "\(1` + strings.Repeat("+1", 1_000_000) + `)"`, "more than 2000 operators follow each other"},
		"nested JSON":         {"f.json", strings.Repeat(`{"a":`, 800_000), "nested more than 200 levels deep"},
		"nested JSON lists":   {"f.json", strings.Repeat(`[`, 4_000_000), "nested more than 200 levels deep"},
		"nested YAML":         {"f.yaml", yamlHead + "a: " + strings.Repeat("{a: ", 5_000) + strings.Repeat("}", 5_000), "nested more than 200 levels deep"},
		"nested YAML lists":   {"f.yaml", "a: " + strings.Repeat("[", 1_000_000), "exceeded max depth"},
		"alias bomb":          {"f.yaml", aliasBomb(), "aliases stand for more than 50000 values"},
		"merge bomb":          {"f.yaml", mergeBomb(), "aliases stand for more than 50000 values"},
		"chain of aliases":    {"f.yaml", aliasChain(300), "nested more than 200 levels deep"},
		"five megabytes":      {"f.yaml", yamlHead + strings.Repeat("# comment\n", 500_000), "larger than 4 MiB"},
		"many duplicate keys": {"f.yaml", yamlHead + strings.Repeat("a: 1\n", 100_000), "the mistakes from here on are not listed"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := load(t, write(t, tc.file, tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Load returned %.300v, want %q", err, tc.want)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// aliasBomb is a list of lists of lists …, ten of each.
func aliasBomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	return b.String()
}

// mergeBomb merges each object ten times into the next.
func mergeBomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 {x: 1}\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "a%d: &a%d {<<: [%s*a%d]}\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	return b.String()
}

// aliasChain nests by aliases alone.
func aliasChain(n int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 {x: 1}\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "a%d: &a%d {x: *a%d}\n", i, i, i-1)
	}
	return b.String()
}

// TestGivenUp gives CUE files whose evaluation does not end in time or takes all memory.
func TestGivenUp(t *testing.T) {
	doubling := "x0: \"0123456789\"\n"
	for i := 1; i < 28; i++ {
		doubling += fmt.Sprintf("x%d: x%d + x%d\n", i, i-1, i-1)
	}
	disjunctions := ""
	for i := range 20 {
		disjunctions += fmt.Sprintf("a: {k%d: 1} | {k%d: 2}\n", i, i)
	}
	tests := map[string]struct {
		text, stop, want string
		failure          bool
	}{
		"large range":       {text: "import \"list\"\n" + cueHead + "x: [for i in list.Range(0, 10000000, 1) {\"\\(i)\"}]\n", stop: "memory", want: "takes more than 64 MiB of memory"},
		"doubled strings":   {text: cueHead + doubling, stop: "memory", want: "takes more than 64 MiB of memory"},
		"disjunctions":      {text: cueHead + disjunctions, stop: "deadline", want: "takes longer than 500ms"},
		"nested loops":      {text: "import \"list\"\n" + cueHead + "_r: list.Range(0, 1000, 1)\nx: [for i in _r for j in _r {i*j}]\n", stop: "deadline", want: "takes longer than 500ms"},
		"the context's end": {text: cueHead + disjunctions, stop: "context", want: context.DeadlineExceeded.Error(), failure: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), hostileFile+"="+write(t, "f.cue", tc.text), hostileFile+"_STOP="+tc.stop)
			out, err := cmd.CombinedOutput()
			if (err != nil) != tc.failure {
				t.Errorf("the process ended with %v", err)
			}
			if !strings.Contains(string(out), tc.want) {
				t.Errorf("Load returned %.500s, want %q", out, tc.want)
			}
		})
	}
}
