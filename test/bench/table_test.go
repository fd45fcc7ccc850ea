package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpread(t *testing.T) {
	tests := map[string]struct {
		values []float64
		want   string
	}{
		"nothing measured":    {},
		"one value":           {values: []float64{0.0384}, want: "0.038"},
		"odd number":          {values: []float64{3, 1, 2}, want: "2 (1–3)"},
		"even number":         {values: []float64{1, 2, 30.25, 1000}, want: "16.1 (1–1000)"},
		"below nothing":       {values: []float64{-0.264, -0.1}, want: "-0.182 (-0.264–-0.100)"},
		"digits by magnitude": {values: []float64{1.234, 123.4}, want: "62.3 (1.23–123)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := spread(tt.values); got != tt.want {
				t.Errorf("spread(%v) = %q, want %q", tt.values, got, tt.want)
			}
		})
	}
}

func TestLines(t *testing.T) {
	rows := []row{
		{name: "a", title: "row a", measures: []measure{
			{name: "time", unit: seconds, targets: []target{{of: informer, factor: 1.2}, {of: manager, factor: 0.6}}},
			{name: "never measured"},
			{name: "requests", targets: []target{{factor: 2}}},
		}},
		{name: "b", title: "row b", measures: []measure{
			{name: "requests", targets: []target{{of: kooperd, row: "a", factor: 1}, {of: manager, factor: 1}}},
		}},
	}
	b := bench{results: results{}}
	b.results.add("a", readings{kooperd: {"time": 3, "requests": 2}, manager: {"time": 4}, informer: {"time": 3}})
	b.results.add("a", readings{kooperd: {"time": 5, "requests": 2}, manager: {"time": 6}, informer: {"time": 5}})
	b.results.add("b", readings{kooperd: {"requests": 3}})
	want := [][]string{
		{"row a", "time, s", "4 (3–5)", "5 (4–6)", "4 (3–5)", "0.80", "1.00", "≤ 1.20 × client-go, ≤ 0.600 × controller-runtime", "yes, **no**"},
		{"row a", "requests", "2 (2–2)", "", "", "", "", "≤ 2", "yes"},
		{"row b", "requests", "3", "", "", "", "", "≤ 1 × kooperd of a, ≤ 1 × controller-runtime", "**no**, not measured"},
	}
	if diff := cmp.Diff(want, b.lines(rows)); diff != "" {
		t.Errorf("lines of the table (-want +got):\n%s", diff)
	}
}

func TestWritePage(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	lines := [][]string{{"work", "time, s", "1", "2", "3", "0.50", "0.33", "", ""}}
	for _, text := range []string{"no marks", "only one: " + beginMark} {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writePage(page, "now", lines); err == nil {
			t.Errorf("writing into %q: want an error, have none", text)
		}
	}
	if err := os.WriteFile(page, []byte("before\n"+beginMark+"old\n"+endMark+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePage(page, "Measured now.", lines); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := "before\n" + beginMark + "\nMeasured now.\n\n| " + strings.Join(header, " | ") + " |\n|" + strings.Repeat(" --- |", len(header)) +
		"\n| work | time, s | 1 | 2 | 3 | 0.50 | 0.33 |  |  |\n\n" + endMark + "after\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the page (-want +got):\n%s", diff)
	}
}
