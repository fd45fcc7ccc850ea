package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The marks between which the page has the table.
const (
	beginMark = "<!-- figures: begin; written by make bench -->\n"
	endMark   = "<!-- figures: end -->\n"
)

// writePage replaces what a page has between its marks.
func writePage(page, conditions string, lines [][]string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	before, rest, found := bytes.Cut(text, []byte(beginMark))
	_, after, closed := bytes.Cut(rest, []byte(endMark))
	if !found || !closed {
		return errors.New("writing the table: " + page + " has no marks for it")
	}
	var b bytes.Buffer
	b.Write(before)
	fmt.Fprintf(&b, "%s\n%s\n\n| %s |\n|%s\n", beginMark, conditions, strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, cells := range lines {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	b.WriteString("\n" + endMark)
	b.Write(after)
	if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// conditions says when, where and with what was measured.
func (b *bench) conditions() string {
	kind := "Measured"
	if b.quick {
		kind = "**A quick run, to see that the benchmark works; no figures to rely on.** Measured"
	}
	commit := "unknown"
	if out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	sizes := slices.Compact(slices.Sorted(slices.Values(b.sizes)))
	return fmt.Sprintf("%s on %s with `%s`, %s: kooperd %s, controller-runtime %s, client-go %s, kube-apiserver %s, %s, %s/%s, %s, "+
		"%d cores shared with the control plane. As JSON, %s.",
		kind, time.Now().UTC().Format(time.DateOnly), b.command(), count(b.reps, "repetition"), commit, b.version(manager, "sigs.k8s.io/controller-runtime"),
		b.version(informer, "k8s.io/client-go"), b.server, runtime.Version(), runtime.GOOS, runtime.GOARCH, processor(), runtime.NumCPU(),
		strings.Join(sizes, "; "))
}

// command is what this was started with, in the words of make.
func (b *bench) command() string {
	if len(b.given) == 0 {
		return "make bench"
	}
	return fmt.Sprintf("make bench BENCHFLAGS=%q", strings.Join(b.given, " "))
}

// version is that of a module in a program.
func (b *bench) version(p program, module string) string {
	info, err := buildinfo.ReadFile(filepath.Join(b.bin, string(p)))
	if err != nil {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == module {
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
