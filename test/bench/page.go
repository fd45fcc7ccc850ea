package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/test/bench/order"
)

// The marks between which the page has the table.
const (
	beginMark = "<!-- figures: begin; written by make bench -->\n"
	endMark   = "<!-- figures: end -->\n"
)

// group is what one run has measured, as the page shows it.
type group struct {
	conditions string
	header     string   // of the table
	lines      []string // of it
}

// writePage puts the lines into a page, between its marks, in place of those it has of the same
// rows. Those of other rows stay, below the conditions they were measured under, and what is
// neither goes. The names of all rows are in the order of the page.
func writePage(page, conditions string, header []string, lines [][]string, names []string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	before, rest, found := strings.Cut(string(text), beginMark)
	figures, after, closed := strings.Cut(rest, endMark)
	if !found || !closed {
		return errors.New("writing the table: " + page + " has no marks for it")
	}
	measured := group{conditions: conditions, header: "| " + strings.Join(header, " | ") + " |"}
	for _, cells := range lines {
		measured.lines = append(measured.lines, "| "+strings.Join(cells, " | ")+" |")
	}
	var b strings.Builder
	b.WriteString(before + beginMark)
	for _, g := range merge(parseFigures(figures), measured, names) {
		fmt.Fprintf(&b, "\n%s\n\n%s\n|%s\n", g.conditions, g.header, strings.Repeat(" --- |", strings.Count(g.header, "|")-1))
		b.WriteString(strings.Join(g.lines, "\n") + "\n")
	}
	b.WriteString("\n" + endMark + after)
	if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// parseFigures reads what writePage has written.
func parseFigures(text string) []group {
	var groups []group
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case !strings.HasPrefix(line, "|"):
			groups = append(groups, group{conditions: line})
		case len(groups) > 0 && strings.HasPrefix(line, "| Work |"):
			groups[len(groups)-1].header = line
		case len(groups) > 0 && rowName(line) != "":
			last := &groups[len(groups)-1]
			last.lines = append(last.lines, line)
		}
	}
	return groups
}

// rowName returns the name of the row in a line of the table, empty for one that has none, such as
// the header.
func rowName(line string) string {
	rest, _ := strings.CutPrefix(line, "| `")
	name, _, found := strings.Cut(rest, "`")
	if !found || rest == line {
		return ""
	}
	return name
}

// merge adds a group to others, which lose their lines of the same rows and of rows that are not
// among names. Groups of the same conditions and columns become one, and everything is in the order
// of names.
func merge(groups []group, measured group, names []string) []group {
	place := func(line string) int { return slices.Index(names, rowName(line)) }
	replaced := map[string]bool{}
	for _, line := range measured.lines {
		replaced[rowName(line)] = true
	}
	for i := range groups {
		groups[i].lines = slices.DeleteFunc(groups[i].lines, func(line string) bool { return replaced[rowName(line)] || place(line) < 0 })
	}
	if i := slices.IndexFunc(groups, func(g group) bool { return g.conditions == measured.conditions && g.header == measured.header }); i >= 0 {
		groups[i].lines = append(groups[i].lines, measured.lines...)
	} else {
		groups = append(groups, measured)
	}
	groups = slices.DeleteFunc(groups, func(g group) bool { return len(g.lines) == 0 })
	for _, g := range groups {
		slices.SortStableFunc(g.lines, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	}
	slices.SortStableFunc(groups, func(a, b group) int { return cmp.Compare(place(a.lines[0]), place(b.lines[0])) })
	return groups
}

// conditions says when, where and with what was measured in a table with columns of some programs.
func (b *bench) conditions(of []program) string {
	versions := []string{columns[of[0]] + " " + b.commit()}
	for _, p := range of[1:] {
		versions = append(versions, columns[p]+" "+b.module(p, modules[p]))
	}
	kind := "Measured"
	if b.quick {
		kind = "**A quick run, to see that the benchmark works; no figures to rely on.** Measured"
	}
	origin := ""
	if b.settings.bin != "" {
		origin = " of programs that were built before (`-bin`)"
	}
	sizes := strings.Join(slices.Compact(slices.Sorted(slices.Values(b.sizes))), "; ")
	if sizes != "" {
		sizes = " As JSON, " + sizes + "."
	}
	return fmt.Sprintf("%s on %s with `%s`%s, -n=%d, %s: %s, kube-apiserver %s, %s, %s/%s, %s, "+
		"%d cores shared with the control plane.%s",
		kind, b.begun.UTC().Format(time.DateOnly), b.command(), origin, b.n, count(b.reps, "repetition"), strings.Join(versions, ", "), b.server,
		runtime.Version(), runtime.GOOS, runtime.GOARCH, processor(), runtime.NumCPU(), sizes)
}

// command is what this was started with, in the words of make.
func (b *bench) command() string {
	if len(b.given) == 0 {
		return "make bench"
	}
	return fmt.Sprintf("make bench BENCHFLAGS=%q", strings.Join(b.given, " "))
}

// commit is the version that kooperd itself says it was built from.
func (b *bench) commit() string {
	cmd := exec.Command(filepath.Join(b.bin, string(kooperd)), "version", "--json")
	cmd.Env = environment(order.Env + "={}")
	out, err := cmd.Output()
	var module struct {
		Version string `json:"version"`
	}
	if err != nil || json.Unmarshal(out, &module) != nil || module.Version == "" {
		return "of an unknown commit"
	}
	return module.Version
}

// modules are what the other programs are compared as.
var modules = map[program]string{manager: "sigs.k8s.io/controller-runtime", informer: "k8s.io/client-go", kro: kroModule, forgetful: "kooperd.dev/kooperd"}

// module is the version of a module in a program, or of the program itself.
func (b *bench) module(p program, path string) string {
	info, err := buildinfo.ReadFile(filepath.Join(b.bin, string(p)))
	if err != nil {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}

// processor is the name that Linux gives to the CPU.
func processor() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(data)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}
