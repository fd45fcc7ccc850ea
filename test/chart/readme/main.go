// Command readme writes the table of values in the README.md of a chart, between two marks, from
// the comments of its values.yaml. It understands that one file's ways and is no tool for other
// charts: every key has a comment above it, an object without a comment is a section, and one with
// a comment is a value.
//
//	readme ../../charts/kooperd
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The marks in README.md. What is between them is generated.
const (
	begin = "<!-- values: made from values.yaml by \"make generate\" -->"
	end   = "<!-- end of values -->"
)

func main() {
	if len(os.Args) != 2 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: readme CHART")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write puts the table of the chart in dir into its README.md.
func write(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		return fmt.Errorf("reading values: %w", err)
	}
	rows, err := table(text)
	if err != nil {
		return fmt.Errorf("reading %s: %w", filepath.Join(dir, "values.yaml"), err)
	}
	path := filepath.Join(dir, "README.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("reading %s: the marks %q and %q are missing", path, begin, end)
	}
	page = []byte(before + begin + "\n\n" + rows + "\n" + end + after)
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// table makes the rows of all values.
func table(text []byte) (string, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return "", err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return "", errors.New("want one object")
	}
	var b strings.Builder
	b.WriteString("| value | default | |\n|---|---|---|\n")
	err := rows(&b, "", document.Content[0])
	return b.String(), err
}

// rows writes the values of an object, whose own path ends in a dot unless it is empty.
func rows(b *strings.Builder, path string, object *yaml.Node) error {
	for i := 0; i+1 < len(object.Content); i += 2 {
		key, value := object.Content[i], object.Content[i+1]
		comment := description(key.HeadComment)
		switch {
		case comment != "":
			text, err := inline(value)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(b, "| `%s%s` | `%s` | %s |\n", path, key.Value, text, comment)
		case value.Kind == yaml.MappingNode && len(value.Content) > 0:
			if err := rows(b, path+key.Value+".", value); err != nil {
				return err
			}
		default:
			return fmt.Errorf("line %d: %s%s has no comment", key.Line, path, key.Value)
		}
	}
	return nil
}

// description is a comment as one line that a table can hold. Of paragraphs, which the head of the
// file has, it is the last.
func description(comment string) string {
	paragraphs := strings.Split(comment, "\n\n")
	var words []string
	for line := range strings.Lines(paragraphs[len(paragraphs)-1]) {
		words = append(words, strings.Fields(strings.TrimPrefix(line, "#"))...)
	}
	return strings.ReplaceAll(strings.Join(words, " "), "|", "\\|")
}

// inline is a value in one line.
func inline(value *yaml.Node) (string, error) {
	setFlow(value)
	text, err := yaml.Marshal(value)
	if err != nil {
		return "", err
	}
	return strings.Join(strings.Fields(string(text)), " "), nil
}

// setFlow takes away line breaks and comments.
func setFlow(node *yaml.Node) {
	node.Style |= yaml.FlowStyle
	node.HeadComment, node.LineComment, node.FootComment = "", "", ""
	for _, child := range node.Content {
		setFlow(child)
	}
}
