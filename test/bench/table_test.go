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
			{name: "above", unit: milliseconds, difference: true},
		}},
		{name: "b", title: "row b", measures: []measure{
			{name: "requests", targets: []target{{of: kooperd, row: "a", factor: 1}, {of: manager, factor: 1}}},
		}},
	}
	b := bench{results: results{}}
	b.results.add("a", readings{kooperd: {"time": 3, "requests": 2}, manager: {"time": 4}, informer: {"time": 3}})
	b.results.add("a", readings{kooperd: {"time": 5, "requests": 2}, manager: {"time": 6}, informer: {"time": 5}})
	b.results.add("a", readings{kooperd: {"above": 3}, manager: {"above": 1}})
	b.results.add("b", readings{kooperd: {"requests": 3}})
	want := [][]string{
		{"`a`, row a", "time, s", "4 (3–5)", "5 (4–6)", "4 (3–5)", "0.80", "1.00", "≤ 1.20 × client-go, ≤ 0.600 × controller-runtime", "yes ~, **no** ~"},
		{"`a`, row a", "requests", "2 (2–2)", "", "", "", "", "≤ 2", "yes"},
		{"`a`, row a", "above, ms", "3", "1", "", "", "", "", ""},
		{"`b`, row b", "requests", "3", "", "", "", "", "≤ 1 × kooperd of a, ≤ 1 × controller-runtime", "**no**, not measured"},
	}
	if diff := cmp.Diff(want, b.lines(rows)); diff != "" {
		t.Errorf("lines of the table (-want +got):\n%s", diff)
	}
}

// The page keeps the lines of rows that were not measured again, below the conditions of their run.
func TestWritePage(t *testing.T) {
	cells := header(programs)
	headOf := func(cells []string) string {
		return "\n\n| " + strings.Join(cells, " | ") + " |\n|" + strings.Repeat(" --- |", len(cells)) + "\n"
	}
	head := headOf(cells)
	names := []string{"a", "b", "c", "d"}
	line := func(row, figure string) string { return "| `" + row + "`, row | time, s | " + figure + " |\n" }
	measured := func(rows ...string) (lines [][]string) {
		for _, r := range rows {
			lines = append(lines, []string{"`" + r + "`, row", "time, s", "new"})
		}
		return lines
	}
	old := "\nOld." + head + line("a", "1") + line("b", "2") + line("b", "3") + "\nOlder." + head + line("c", "4")
	tests := map[string]struct {
		figures    string
		conditions string
		rows       []string
		want       string
	}{
		"nothing yet":       {"", "Now.", []string{"a", "b"}, "\nNow." + head + line("a", "new") + line("b", "new")},
		"text that is none": {"\nBusy, and so on.\n\n| Work | X |\n| --- |\n| old pods | 3 |\n", "Now.", []string{"a"}, "\nNow." + head + line("a", "new")},
		"every row again":   {old, "Now.", []string{"a", "b", "c"}, "\nNow." + head + line("a", "new") + line("b", "new") + line("c", "new")},
		"one row of several": {old, "Now.", []string{"b"},
			"\nOld." + head + line("a", "1") + "\nNow." + head + line("b", "new") + "\nOlder." + head + line("c", "4")},
		"a new row": {old, "Now.", []string{"d"}, old + "\nNow." + head + line("d", "new")},
		"more under the same conditions": {old, "Older.", []string{"d", "b"},
			"\nOld." + head + line("a", "1") + "\nOlder." + head + line("b", "new") + line("c", "4") + line("d", "new")},
		"a table of other columns": {"\nNow." + headOf(header(templated)) + line("b", "1"), "Now.", []string{"a"},
			"\nNow." + head + line("a", "new") + "\nNow." + headOf(header(templated)) + line("b", "1")},
		"a row that is no more": {"\nOld." + head + line("gone", "1"), "Now.", []string{"a"}, "\nNow." + head + line("a", "new")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			page := filepath.Join(t.TempDir(), "page.md")
			if err := os.WriteFile(page, []byte("before\n"+beginMark+tt.figures+endMark+"after\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := writePage(page, tt.conditions, cells, measured(tt.rows...), names); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("before\n"+beginMark+tt.want+"\n"+endMark+"after\n", string(got)); diff != "" {
				t.Errorf("the page (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWritePageWithoutMarks(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	for _, text := range []string{"no marks", "only one: " + beginMark} {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writePage(page, "now", header(programs), nil, nil); err == nil {
			t.Errorf("writing into %q: want an error, have none", text)
		}
	}
}
