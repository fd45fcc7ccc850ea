package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/apply"
)

// callableGroup is a part of the page.
type callableGroup struct {
	title, text string
	callables   []callable
}

// callable is what the page says about a function, a macro or an operator. Its signatures are those
// of the language.
type callable struct {
	name, text string
	examples   []callExample
	// usages are how a macro is called.
	usages []string
}

// callExample is an expression and what it makes, in JSON.
type callExample struct{ expression, result string }

// The results of examples that are no JSON.
const (
	nothing  = "nothing"
	anything = "another one each time"
)

// expressionsPage describes all that expressions can call.
func expressionsPage(*handlers.Registry) ([]byte, error) {
	language, err := apply.Language()
	if err != nil {
		return nil, err
	}
	known := map[string]expression.Callable{}
	for _, c := range language.Callables() {
		known[c.Name] = c
	}
	var sections strings.Builder
	for _, g := range slices.Concat(operatorGroups, functionGroups, kubernetesGroups) {
		fmt.Fprintf(&sections, "## %s\n\n", g.title)
		if g.text != "" {
			sections.WriteString(g.text + "\n\n")
		}
		sections.WriteString("| how it is written | | example | result |\n|---|---|---|---|\n")
		for _, c := range g.callables {
			of, ok := known[c.name]
			if !ok {
				return nil, fmt.Errorf("describing %s: expressions have no such function, or it is described twice", c.name)
			}
			delete(known, c.name)
			row, err := callableRow(c, of)
			if err != nil {
				return nil, fmt.Errorf("describing %s: %w", c.name, err)
			}
			sections.WriteString(row)
		}
		sections.WriteString("\n")
	}
	for name := range known {
		return nil, fmt.Errorf("describing %s: say in calls_*.go what it does, with an example", name)
	}
	return page("expressions.md.tmpl", map[string]any{"Sections": strings.TrimSpace(sections.String())})
}

// callableRow is the row of one function in its table.
func callableRow(c callable, of expression.Callable) (string, error) {
	if len(c.examples) == 0 || c.text == "" {
		return "", errors.New("it has no text, or no example")
	}
	signatures := slices.Concat(c.usages, of.Signatures)
	if of.IsMacro != (len(c.usages) > 0) {
		return "", errors.New("usages are for macros, which have no signatures")
	}
	var expressions, results []string
	for _, e := range c.examples {
		expressions = append(expressions, e.expression)
		results = append(results, e.result)
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", lines(signatures), cell(c.text), lines(expressions), lines(results)), nil
}

// lines sets lines of code into a cell of a table.
func lines(all []string) string {
	var quoted []string
	for _, line := range all {
		if line != nothing && line != anything {
			line = "`" + line + "`"
		}
		quoted = append(quoted, cell(line))
	}
	return strings.Join(quoted, "<br>")
}
