package cases

import (
	"bytes"
	"fmt"

	sigsyaml "sigs.k8s.io/yaml"
)

// Input is what a new case has in it.
type Input struct {
	// Comment is written above it, a line each; empty for none.
	Comment []string
	// Definition is the name of the definition.
	Definition string
	// Object is the parent, Children what was made for it by the names of the children, and Related
	// all other objects, as JSON values.
	Object   map[string]any
	Children map[string]map[string]any
	Related  []map[string]any
}

// New returns the text of a file with a case that expects nothing yet.
func New(input Input) ([]byte, error) {
	var out bytes.Buffer
	for _, line := range input.Comment {
		out.WriteString("# " + line + "\n")
	}
	for _, field := range []struct {
		name  string
		value any
		empty bool
	}{
		{"definition", input.Definition, false}, {"object", input.Object, false},
		{"children", input.Children, len(input.Children) == 0}, {"related", input.Related, len(input.Related) == 0},
	} {
		if field.empty {
			continue
		}
		text, err := sigsyaml.Marshal(map[string]any{field.name: field.value})
		if err != nil {
			return nil, fmt.Errorf("writing a case: %w", err)
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}
