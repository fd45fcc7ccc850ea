package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers"
)

// commandPage describes the command line.
func commandPage(registry *handlers.Registry) ([]byte, error) {
	root := daemon.NewCommand(registry)
	var list, sections strings.Builder
	for _, cmd := range documented(root) {
		fmt.Fprintf(&list, "| [`%s`](#%s) | %s |\n", cmd.CommandPath(), heading(cmd.CommandPath()), cell(cmd.Short))
		command(&sections, cmd)
	}
	return page("cli.md.tmpl", map[string]any{"List": list.String(), "Sections": sections.String()})
}

// documented is a command with its own commands, in the order of their names. The commands of a
// command that cobra makes, and help, which says the same as --help, are left out.
func documented(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	if cmd.Name() == "completion" {
		return all
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() && below.Name() != "help" {
			all = append(all, documented(below)...)
		}
	}
	return all
}

// command describes one command.
func command(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "## `%s`\n\n", cmd.CommandPath())
	usage := cmd.UseLine()
	if !cmd.HasParent() {
		usage = strings.TrimSuffix(usage, " [flags]")
	}
	fmt.Fprintf(b, "```text\n%s\n```\n\n", usage)
	description := cmd.Long
	if description == "" {
		description = cmd.Short + "."
	}
	b.WriteString(prose(description) + "\n\n")
	if below := cmd.Commands(); cmd.Name() == "completion" {
		b.WriteString("| shell | |\n|---|---|\n")
		for _, shell := range below {
			fmt.Fprintf(b, "| `%s` | %s |\n", shell.CommandPath(), cell(shell.Short))
		}
		b.WriteString("\n")
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "```text\n%s\n```\n\n", unindent(cmd.Example))
	}
	flags(b, cmd.NonInheritedFlags())
}

// prose makes paragraphs of a help text: its lines are as long as a terminal is wide, and indented
// ones are examples.
func prose(text string) string {
	var out []string
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(block, "Exit status:") {
			continue // the page has a table of them
		}
		if strings.HasPrefix(block, " ") || strings.HasPrefix(block, "\t") {
			block = "```text\n" + unindent(block) + "\n```"
		}
		out = append(out, block)
	}
	return strings.Join(out, "\n\n")
}

func unindent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimPrefix(line, "  "), "\t")
	}
	return strings.Join(lines, "\n")
}

// flags lists the flags of one command.
func flags(b *strings.Builder, set *pflag.FlagSet) {
	var rows strings.Builder
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" && f.Shorthand != f.Name {
			name += ", `-" + f.Shorthand + "`"
		}
		if f.Shorthand == f.Name {
			name = "`-" + f.Name + "`"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s |\n", name, valueOf(f), defaultOf(f), cell(markdown(textOf(f))))
	})
	if rows.Len() > 0 {
		fmt.Fprintf(b, "| flag | value | default | |\n|---|---|---|---|\n%s\n", rows.String())
	}
}

// textOf is what the page says about a flag: --help may have less.
func textOf(f *pflag.Flag) string {
	if text := f.Annotations[daemon.ReferenceAnnotation]; len(text) > 0 {
		return text[0]
	}
	return f.Usage
}

// valueOf says what a flag takes.
func valueOf(f *pflag.Flag) string {
	switch kind := f.Value.Type(); kind {
	case "bool":
		return "`true` or `false`"
	case "string":
		return "text"
	case "stringArray", "stringSlice":
		return "text, repeatable"
	case "int":
		return "whole number"
	default:
		return kind
	}
}

// defaultOf is the value of a flag that is not given; nothing when that is no value at all.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "[]":
		return ""
	}
	return "`" + f.DefValue + "`"
}
